# SPDX-License-Identifier: Apache-2.0
"""A verdict in words and as plain values for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.provenance.reading import Signature
from engine.verify.check import Invisible, Verdict, Visible
from engine.watermark import detector, imprint_reader

__all__ = ["LIMITS", "as_dict", "in_words", "unreadable_dict"]

LIMITS = (
    "No mark found does not mean that a file is genuine: other tools leave other marks or none, and marks can be "
    "removed by somebody who sets out to, or lost by heavy compression, strong crops, rotation or stretching.",
    "A mark says that Bunraku made the pictures, not who did, when, or of whom; and marks can be copied onto others.",
    "A signature proves that the file has not changed since and that one key signed it. Unless a certificate authority "
    "vouches for the key, anybody could have made it, and the time is the signer's word.",
)
_WIDTH = 16


def as_dict(verdict: Verdict, path: Path) -> dict[str, Any]:
    """Return the verdict as plain values."""
    return {
        "file": str(path),
        "result": "marked" if verdict.marked else "no mark",
        "confidence": round(verdict.confidence, 6) if verdict.marked else 0.0,
        "kind": verdict.kind,
        "size_wh": list(verdict.size_wh),
        "visible": _visible_dict(verdict.visible),
        "invisible": _invisible_dict(verdict.invisible),
        "signature": _signature_dict(verdict.signature, verdict.signature_confidence),
        "limits": list(LIMITS),
    }


def unreadable_dict(path: Path, reason: str) -> dict[str, Any]:
    """Return what JSON says of a file that cannot be read."""
    return {"file": str(path), "result": "cannot read", "reason": reason}


def in_words(verdict: Verdict, path: Path) -> list[str]:
    """Return the verdict as lines."""
    if verdict.marked:
        head = f"{path}: made with Bunraku (confidence {_percent(verdict.confidence)})"
    else:
        head = f"{path}: no mark of Bunraku found"
    lines = [
        head,
        _line("visible mark", _visible_words(verdict)),
        _line("invisible mark", _invisible_words(verdict)),
        _line("signature", _signature_words(verdict)),
    ]
    return [*lines, "What this cannot prove:", *(f"  - {limit}" for limit in LIMITS)]


def _line(name: str, words: str) -> str:
    return f"  {name:<{_WIDTH}}{words}"


def _percent(share: float) -> str:
    return f"{100 * share:.4f}".rstrip("0").rstrip(".") + " %"


def _share(found: int, looked: int, kind: str) -> str:
    return "" if kind == "picture" else f" in {found} of {looked} frames"


def _too_small(verdict: Verdict, least_px: int) -> str:
    side_px = min(verdict.size_wh)
    return f"not found; a short side of {side_px} px is too little to tell, {least_px} are needed" * (
        side_px < least_px
    )


def _visible_words(verdict: Verdict) -> str:
    visible = verdict.visible
    if visible is None:
        searched = "not found (it is looked for in the corners of whole frames, not of crops or screenshots)"
        return _too_small(verdict, detector.LEAST_SIDE_PX) or searched
    return f"found{_share(visible.found, visible.looked, verdict.kind)} ({_percent(visible.confidence)})"


def _invisible_words(verdict: Verdict) -> str:
    invisible = verdict.invisible
    if invisible is None:
        return _too_small(verdict, imprint_reader.LEAST_SIDE_PX) or "not found"
    where = _share(invisible.found, invisible.looked, verdict.kind)
    if not invisible.found:
        where = f" in all {invisible.looked} frames together"
    side = ", mirrored" if invisible.mirrored else ""
    sure = f"{_percent(invisible.confidence)}, size {100 * invisible.scale:.0f} % of a whole frame's{side}"
    payload = invisible.payload
    if payload is None:
        return f"found{where}, but what it says cannot be read ({sure})"
    more = f" and {len(invisible.other_runs)} other run(s)" if invisible.other_runs else ""
    return f"read{where}: Bunraku {payload.version[0]}.{payload.version[1]}, run {payload.run_id:06x}{more} ({sure})"


def _signature_words(verdict: Verdict) -> str:
    signature = verdict.signature
    if signature is None:
        return "none"
    where = "beside the file" if signature.sidecar else "in the file"
    signer = (
        "this installation's key"
        if signature.this_installation
        else f"“{signature.common_name}”, vouched for by nobody"
    )
    if not signature.ours:
        return f"{where}, by another program: {signature.generator or 'unnamed'}"
    what = [
        (f"{c['name']}: " if c["name"] else "")
        + f"{c['model']} (sha256 {c['model_sha256'][:12]}…), consent: {c['consent'] or 'not stated'}"
        for c in signature.characters
    ]
    made = f"; model {'; '.join(what)}" if what else ""
    if signature.intact:
        return f"valid, {where}, {signature.generator}, {signer}{made}"
    reasons = ", ".join(signature.problems)
    if signature.sidecar and verdict.signature_confidence > 0:
        return f"{where}, of the invisible mark's run; the file was written anew since ({reasons}); {signer}{made}"
    return f"{where}, but the content is not what was signed ({reasons}); {signer}{made}"


def _visible_dict(visible: Visible | None) -> dict[str, Any]:
    if visible is None:
        return {"found": False}
    return {
        "found": True,
        "frames_found": visible.found,
        "frames_looked_at": visible.looked,
        "score": round(visible.score, 3),
        "confidence": round(visible.confidence, 6),
    }


def _invisible_dict(invisible: Invisible | None) -> dict[str, Any]:
    if invisible is None:
        return {"found": False}
    payload = invisible.payload
    return {
        "found": True,
        "read": payload is not None,
        "product_id": payload.product_id if payload is not None else None,
        "version": "{}.{}".format(*payload.version) if payload is not None else None,
        "run": f"{payload.run_id:06x}" if payload is not None else None,
        "other_runs": [f"{run.run_id:06x}" for run in invisible.other_runs],
        "frames_found": invisible.found,
        "frames_looked_at": invisible.looked,
        "sync_sigma": round(invisible.sync, 2),
        "bit_agreement": round(invisible.agreement, 3),
        "scale": round(invisible.scale, 4),
        "mirrored": invisible.mirrored,
        "confidence": round(invisible.confidence, 6),
    }


def _signature_dict(signature: Signature | None, confidence: float) -> dict[str, Any]:
    if signature is None:
        return {"found": False}
    return {
        "found": True,
        "by_bunraku": signature.ours,
        "valid": signature.intact,
        "problems": list(signature.problems),
        "sidecar": signature.sidecar,
        "generator": signature.generator,
        "issuer": signature.issuer,
        "common_name": signature.common_name,
        "this_installation": signature.this_installation,
        "soft_binding": [payload.hex() for payload in signature.payloads],
        "characters": list(signature.characters),
        "confidence": round(confidence, 6),
    }
