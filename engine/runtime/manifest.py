# SPDX-License-Identifier: Apache-2.0
"""`manifest.json` beside the model files: what they are, and the hashes that prove it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.assets import asset_root
from engine.errors import ModelFileMissing, ModelMismatch

__all__ = [
    "IMPLICIT_WARP",
    "INT8_GRAPH",
    "LEARNED_MOTION",
    "SHARES_GRAPH",
    "Island",
    "ModelManifest",
    "list_models",
    "load_manifest",
]

_FORMAT = 1
IMPLICIT_WARP = "implicit_warp"
SHARES_GRAPH = "shares.onnx"  # which picture each pixel comes from; not of models that are all learned
INT8_GRAPH = "animate.int8.onnx"  # the frame graph with its islands in 8-bit integers, where that was found good enough
# Models that find keypoints of their own on pictures, and the tensors in which they describe a face.
LEARNED_MOTION: Mapping[str, tuple[str, ...]] = {
    "fomm": ("position", "jacobian"),
    "fv2v": ("canonical", "rotation", "translation", "expression"),
    "implicit_warp_paper": ("position", "strength"),
}


@dataclass(frozen=True, slots=True)
class Island:
    """Convolutions of a frame graph that may run in half precision: the tensors they read, and those they make."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """One exported model.

    name: folder name. side_px: picture side. cache: names of the encoded tensors, in graph order.
    files: file name -> sha256. model: its kind, `IMPLICIT_WARP` or one of `LEARNED_MOTION`.

    Implicit warping alone: islands: the convolutions of the frame graph, in order; none without a decoder.
    face_pose_gain, expression_gain: logits per squared difference, for choosing sources as the attention weighs them.

    Learned keypoints alone: motion: tensor name -> shape for one picture, without the batch.
    """

    name: str
    folder: Path
    side_px: int
    cache: tuple[str, ...]
    files: dict[str, str]
    islands: tuple[Island, ...] = ()
    face_pose_gain: float = 0.0
    expression_gain: float = 0.0
    model: str = IMPLICIT_WARP
    motion: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def learned(self) -> bool:
        """Whether the model finds keypoints of its own, on the driving picture too."""
        return self.model in LEARNED_MOTION

    @property
    def sha256(self) -> str:
        """One hash over the names and hashes of all files."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode("utf-8")).hexdigest()

    @property
    def quantised(self) -> bool:
        """Whether there is a frame graph with 8-bit convolutions beside the exact one."""
        return INT8_GRAPH in self.files

    def verify(self) -> None:
        """Compare every file with its hash.

        Raises:
            ModelFileMissing: a file is not there. ModelMismatch: a file differs.
        """
        for name, expected in self.files.items():
            path = self.folder / name
            if not path.is_file():
                raise ModelFileMissing(
                    f"Model file {name} of '{self.name}' is missing: {path}.",
                    hint="Install Bunraku again (python3 run.py).",
                    path=str(path),
                )
            actual = hashlib.sha256(path.read_bytes()).hexdigest()
            if actual != expected:
                raise ModelMismatch(
                    f"Model file {name} of '{self.name}' is not the one its manifest describes: expected sha256 "
                    f"{expected[:12]}…, got {actual[:12]}…: {path}.",
                    hint="The file is damaged or was edited; install Bunraku again (python3 run.py).",
                    path=str(path),
                    expected=expected,
                    actual=actual,
                )


def list_models() -> list[str]:
    """Return the names of the shipped models, sorted."""
    return sorted(path.parent.name for path in (asset_root() / "models").glob("*/manifest.json"))


def load_manifest(model: str) -> ModelManifest:
    """Read a shipped model's manifest.

    Raises:
        ModelFileMissing: no such model. ModelMismatch: the manifest is unreadable or newer than this program.
    """
    folder = asset_root() / "models" / model
    path = folder / "manifest.json"
    if not path.is_file():
        known = ", ".join(list_models()) or "none"
        raise ModelFileMissing(f"There is no model '{model}'; shipped models: {known}.", hint="Choose one of them.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != _FORMAT:
            raise ModelMismatch(
                f"Model '{model}' has manifest format {data['format']}, this program reads {_FORMAT}: {path}.",
                hint="Install a matching version of Bunraku.",
            )
        kind = data.get("model", IMPLICIT_WARP)
        if kind != IMPLICIT_WARP and kind not in LEARNED_MOTION:
            known = ", ".join((IMPLICIT_WARP, *LEARNED_MOTION))
            raise ModelMismatch(
                f"Model '{model}' is of kind '{kind}', this program runs {known}: {path}.",
                hint="Install a matching version of Bunraku.",
            )
        return ModelManifest(
            name=model,
            folder=folder,
            side_px=int(data["config"]["side_px"]),
            cache=tuple(data["cache"]),
            files=dict(data["files"]),
            model=kind,
            **(_implicit_fields(data) if kind == IMPLICIT_WARP else {"motion": _motion_shapes(data["motion"], kind)}),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelMismatch(
            f"The manifest of model '{model}' cannot be read ({error}): {path}.",
            hint="Install Bunraku again (python3 run.py).",
        ) from error


def _implicit_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    gains = data["selection"]
    return {
        "islands": tuple(Island(tuple(x["inputs"]), tuple(x["outputs"])) for x in data["half_precision"]),
        "face_pose_gain": float(gains["face_pose"]),
        "expression_gain": float(gains["expression"]),
    }


def _motion_shapes(motion: Mapping[str, Any], kind: str) -> dict[str, tuple[int, ...]]:
    """Return the motion tensors in the kind's order; a ValueError names what is missing or too much."""
    if set(motion) != set(LEARNED_MOTION[kind]):
        raise ValueError(f"expected motion tensors {', '.join(LEARNED_MOTION[kind])}, got {', '.join(motion)}")
    return {name: tuple(int(length) for length in motion[name]) for name in LEARNED_MOTION[kind]}
