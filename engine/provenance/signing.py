# SPDX-License-Identifier: Apache-2.0
"""Puts a signed manifest into MP4 and PNG files, and beside recordings, since a re-mux drops what is inside.

No time-stamp authority is asked: the time of signing is this computer's word, and a signature outlives its certificate
only as far as a reader believes that. A file that cannot be signed is kept as it is, and whoever made it is told.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import SigningFailed
from engine.files import replacing, write_whole
from engine.provenance.identity import signing_identity
from engine.provenance.manifest import manifest_of
from engine.types import Seal

__all__ = ["offline_context", "sidecar_of", "sign_png", "sign_recording"]


def sidecar_of(path: Path) -> Path:
    """Return where a recording's manifest lies beside it."""
    return path.with_suffix(".c2pa")


def sign_recording(path: Path, seals: Sequence[Seal], *, media_type: str = "video/mp4") -> None:
    """Sign a finished recording in place and write its sidecar.

    Args:
        seals: of its frames, each once. media_type: "video/mp4" or "video/quicktime".
    Raises:
        SigningFailed: it could not be signed; the file is as it was.
    """
    try:
        with replacing(path) as part, path.open("rb") as source, part.open("w+b") as target:
            manifest = _sign(source, target, media_type, manifest_of(seals, title=f"recording{path.suffix}"))
        write_whole(sidecar_of(path), manifest)
    except OSError as error:
        raise _failed(error.strerror or error, path=path) from error
    except SigningFailed as error:
        raise _failed(error, path=path) from error


def sign_png(png: bytes, seal: Seal) -> bytes:
    """Return a PNG with its manifest.

    Raises:
        SigningFailed: it could not be signed.
    """
    target = io.BytesIO()
    _sign(io.BytesIO(png), target, "image/png", manifest_of([seal], title="picture.png"))
    return target.getvalue()


def offline_context() -> Any:
    """Return settings that keep the library from asking the network for anything."""
    import c2pa

    return c2pa.Context(c2pa.Settings.from_dict({"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}))


def _sign(source: Any, target: Any, kind: str, manifest: dict[str, Any]) -> bytes:
    import c2pa

    identity = signing_identity()
    try:
        signer = c2pa.Signer.from_callback(
            identity.sign, getattr(c2pa.C2paSigningAlg, identity.algorithm), identity.chain_pem, None
        )
        with signer, c2pa.Builder(json.dumps(manifest), offline_context()) as builder:
            return bytes(builder.sign(signer, kind, source, target))
    except c2pa.C2paError as error:
        raise SigningFailed(f"The file could not be signed: {error}.", hint="Check the certificate.") from error


def _failed(reason: object, *, path: Path) -> SigningFailed:
    return SigningFailed(
        f"The recording is complete and marked, but not signed: {reason} ({path}).",
        hint="It can be used as it is; `bunraku verify` will find its marks, but no signature.",
        path=str(path),
    )
