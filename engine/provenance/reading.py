# SPDX-License-Identifier: Apache-2.0
"""Finds the manifest in a file or beside it, and says whether it holds. No network, no trust list."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import SigningFailed
from engine.provenance.identity import identity_path, signing_identity
from engine.provenance.manifest import ORIGIN, SOFT_BINDING, SOFT_BINDING_ALGORITHM
from engine.provenance.signing import offline_context, sidecar_of

__all__ = ["Signature", "read_signature"]

_KINDS = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
_UNTRUSTED = "signingCredential.untrusted"  # no list says who the signer is; true of every key made at home
_LARGEST_SIDECAR = 10_000_000


@dataclass(frozen=True, slots=True)
class Signature:
    """What the manifest says, and what its check says.

    intact: signature and content agree. problems: the check's codes where they do not. sidecar: it lay beside the file.
    generator: the program that claims to have made it. issuer, common_name: the certificate's words, which nobody
    vouches for. this_installation: signed with the key that lies here. payloads: of the invisible mark, from the soft
    binding. characters: name, model, model_sha256 and consent, each.
    """

    intact: bool
    problems: tuple[str, ...]
    sidecar: bool
    generator: str
    issuer: str
    common_name: str
    this_installation: bool
    payloads: tuple[bytes, ...]
    characters: tuple[dict[str, str], ...]

    @property
    def ours(self) -> bool:
        """Whether it says that Bunraku made the file."""
        return self.generator.startswith("Bunraku")


def read_signature(path: Path) -> Signature | None:
    """Return the manifest of a file, or that of its sidecar; None where there is neither.

    Raises:
        OSError: the file cannot be read.
    """
    import c2pa

    kind = _KINDS.get(path.suffix.lower())
    with path.open("rb") as file:
        found = _read(kind, file, None)
        if found is not None:
            return found
        sidecar = sidecar_of(path)
        if not sidecar.is_file() or sidecar.stat().st_size > _LARGEST_SIDECAR or kind is None:
            return None
        file.seek(0)
        with contextlib.suppress(c2pa.C2paError):
            return _read(kind, file, sidecar.read_bytes())
        return None


def _read(kind: str | None, file: Any, manifest: bytes | None) -> Signature | None:
    import c2pa

    try:
        with c2pa.Reader(kind, file, manifest, offline_context()) as reader:
            active = reader.get_active_manifest() or {}
            results = reader.get_validation_results() or {}
    except c2pa.C2paError:
        # No manifest, a kind of file that has none, or a manifest too broken to be read: all mean that it says nothing.
        return None
    failures = (results.get("activeManifest") or {}).get("failure") or []
    problems = tuple(dict.fromkeys(str(f.get("code", "")) for f in failures if f.get("code") != _UNTRUSTED))
    info = active.get("signature_info") or {}
    generators = active.get("claim_generator_info") or [{}]
    data = {a.get("label"): a.get("data") or {} for a in active.get("assertions") or []}
    binding = data.get(SOFT_BINDING, {})
    blocks = binding.get("blocks") or [] if binding.get("alg") == SOFT_BINDING_ALGORITHM else []
    return Signature(
        intact=not problems,
        problems=problems,
        sidecar=manifest is not None,
        generator=" ".join(str(generators[0].get(key, "")) for key in ("name", "version")).strip(),
        issuer=str(info.get("issuer", "")),
        common_name=str(info.get("common_name", "")),
        this_installation=_is_ours(str(info.get("cert_serial_number", ""))),
        payloads=tuple(_decoded(str(block.get("value", ""))) for block in blocks),
        characters=tuple(
            {key: str(character.get(key, "")) for key in ("name", "model", "model_sha256", "consent")}
            for character in data.get(ORIGIN, {}).get("characters") or []
        ),
    )


def _is_ours(serial: str) -> bool:
    if not identity_path().exists():
        return False  # looking must not make a key
    try:
        return serial == str(signing_identity().serial)
    except SigningFailed:
        return False


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return b""
