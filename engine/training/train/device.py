# SPDX-License-Identifier: Apache-2.0
"""Device and precision of a run, chosen once at its start; third-party words about devices end here."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
from torch import nn

from engine.errors import BackendUnavailable, InvalidSetting

__all__ = ["PRECISIONS", "Precision", "choose_device", "choose_precision", "lay_out"]

PRECISIONS = ("auto", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class Precision:
    """Number format of the networks' inner work; weights, optimiser and what models ask for stay in float32."""

    device: torch.device
    bf16: bool

    @property
    def name(self) -> str:
        """As it is written in logs."""
        return "bf16" if self.bf16 else "fp32"

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def choose_device(name: str, *, local_rank: int | None = None) -> torch.device:
    """Return the device of this name; with none, CUDA where there is some, otherwise the CPU.

    Args:
        local_rank: this process's number on its machine, if there are several: each takes a GPU of its own.
    Raises:
        BackendUnavailable: torch cannot use it here.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and local_rank is not None:
        name = f"cuda:{local_rank}"
    try:
        torch.zeros(1, device=name)
        device = torch.device(name)
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without the device
        raise BackendUnavailable(
            f"torch cannot use the device '{name}' on this machine: {str(error).splitlines()[0]}",
            hint="Use --device cpu, or install the device's driver and a torch built for it.",
        ) from error
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
        torch.cuda.set_device(device)
        # What the networks multiply outside bf16 is good enough in TF32; geometry is no matrix product of their size.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    return device


def choose_precision(name: str, device: torch.device) -> Precision:
    """Return the precision of this name; `auto` is bf16 where the hardware multiplies it.

    Raises:
        InvalidSetting: no such precision.
    """
    if name not in PRECISIONS:
        raise InvalidSetting(f"There is no precision '{name}'.", hint=f"Choose one of: {', '.join(PRECISIONS)}.")
    return Precision(device, name == "bf16" or (name == "auto" and _multiplies_bf16(device)))


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has no public question for it; without the answer float32 is right everywhere.
    questions = (getattr(torch.cpu, f"_is_{feature}_supported", bool) for feature in ("avx512_bf16", "amx_tile"))
    return device.type == "cpu" and any(ask() for ask in questions)


def lay_out(module: nn.Module) -> None:
    """Store the weights of 2-D convolutions channels last, in place: the layout their kernels are fastest in."""
    nn.utils.convert_conv2d_weight_memory_format(module, torch.channels_last)
