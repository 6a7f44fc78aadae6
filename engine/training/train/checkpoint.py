# SPDX-License-Identifier: Apache-2.0
"""A run on disk: one safetensors file with everything an exact resume needs, its facts as JSON in the header.

One file, so that renaming it into place replaces the old one in one step: after a power cut, a kill or on a full disk
there is either the old checkpoint or the new one. No pickle: a checkpoint from a stranger can hold no code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.errors import ModelFileMissing, ModelMismatch
from engine.files import replacing

__all__ = ["CHECKPOINT", "FORMAT", "read_checkpoint", "read_facts", "replace_file", "write_checkpoint"]

CHECKPOINT = "checkpoint.safetensors"
FORMAT = 1


def write_checkpoint(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write the checkpoint of a run.

    Raises:
        OSError: as the system says; the checkpoint before it is untouched.
    """
    # copies: safetensors takes neither strides nor tensors that share their memory
    owned = {
        name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    header = {"bunraku": json.dumps({"format": FORMAT, **facts})}
    data = safetensors.torch.save(owned, metadata=header)
    replace_file(folder / CHECKPOINT, lambda path: path.write_bytes(data))


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the facts of a run's checkpoint.

    Raises:
        ModelFileMissing: there is none. ModelMismatch: it is damaged or of another format.
    """
    return _read(folder, tensors=False)[1]


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors (on the CPU) and facts of a run's checkpoint.

    Raises:
        ModelFileMissing: there is none. ModelMismatch: it is damaged or of another format.
    """
    return _read(folder, tensors=True)


def _read(folder: Path, *, tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ModelFileMissing(
            f"There is no checkpoint to go on from: {path}.", hint="Leave --resume out to start anew.", path=str(path)
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {})["bunraku"])
            found = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        what = f"The checkpoint cannot be read ({error}): {path}."
        raise ModelMismatch(what, hint="Start anew in another folder.", path=str(path)) from error
    if facts.get("format") != FORMAT:
        what = f"The checkpoint has format {facts.get('format')}, this Bunraku reads format {FORMAT}: {path}."
        raise ModelMismatch(what, hint="Start anew in another folder.", path=str(path))
    return found, facts


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and rename it into place once it lies on the disk.

    Raises:
        OSError: it cannot be written; an older file of that name is untouched.
    """
    with replacing(path, keep_suffix=True) as part:
        part.touch()
        mode = part.stat().st_mode
        try:
            write(part)
        except SafetensorError as error:  # how safetensors reports what the system said
            raise OSError(str(error)) from error
        part.chmod(mode)  # safetensors makes files that only their owner may read
        with part.open("rb+") as file:
            os.fsync(file.fileno())
    if os.name == "posix":  # the new name, too, is to outlive a power cut
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
