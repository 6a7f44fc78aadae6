# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: safetensors with the architecture in the header, so that a file says what it is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine.errors import ModelFileMissing, ModelMismatch
from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(model: ImplicitWarp, path: Path) -> None:
    """Write weights and config."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, str(path), metadata={"config": json.dumps(asdict(model.config)), "model": "implicit_warp"})


def load_checkpoint(path: Path) -> ImplicitWarp:
    """Build the model a file describes and load it, on the CPU.

    Raises:
        ModelFileMissing: no such file. ModelMismatch: the file is damaged or describes another model.
    """
    if not path.is_file():
        raise ModelFileMissing(f"Weights are missing: {path}.", hint="Install Bunraku again (python3 run.py).")
    try:
        with safe_open(str(path), framework="pt") as file:
            config = WarpModelConfig(**json.loads((file.metadata() or {})["config"]))
        model = ImplicitWarp(config)
        model.load_state_dict(load_file(str(path)))
    except Exception as error:  # safetensors raises a bare type of its own; every cause means the same to the user
        raise ModelMismatch(
            f"Weights cannot be loaded ({error}): {path}.", hint="Install Bunraku again (python3 run.py)."
        ) from error
    return model
