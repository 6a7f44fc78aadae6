# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: safetensors with the architecture in the header, so that a file says what it is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from engine.errors import ModelFileMissing, ModelMismatch
from engine.models.registry import MODELS, kind_of

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(model: nn.Module, path: Path, *, half: bool = False) -> None:
    """Write weights, name and config of any of our models; `half`: as float16, which `load_checkpoint` widens again."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        tensors = {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}
    header = {"config": json.dumps(asdict(model.config)), "model": kind_of(model)}  # type: ignore[call-overload]
    save_file(tensors, str(path), metadata=header)


def load_checkpoint(path: Path) -> nn.Module:
    """Build the model a file describes and load it, on the CPU.

    Raises:
        ModelFileMissing: no such file. ModelMismatch: the file is damaged or describes no model of ours.
    """
    if not path.is_file():
        raise ModelFileMissing(f"Weights are missing: {path}.", hint="Install Bunraku again (python3 run.py).")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
        kind = MODELS[header["model"]]
        model = kind.model(kind.config(**json.loads(header["config"])))
        model.load_state_dict(load_file(str(path)))
    except Exception as error:  # safetensors raises a bare type of its own; every cause means the same to the user
        raise ModelMismatch(
            f"Weights cannot be loaded ({error}): {path}.", hint="Install Bunraku again (python3 run.py)."
        ) from error
    return model
