# SPDX-License-Identifier: Apache-2.0
"""Networks through torch on a GPU: batch norms folded, channels last, half precision by autocast, CUDA events.

Kernels are launched one by one. A launch costs about the same for a small network as for a large one, so what is cheap
looks dearer here than as one recorded graph or through TensorRT: ratios are lower bounds.

Not yet run on a GPU: the project has had none so far. With torch on a CPU, for tests, a clock takes the events' place.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from engine.models.volume import SliceConv
from engine.training.peers.networks import Contender, Part
from engine.training.peers.timing import Timed, TimedPart

__all__ = ["DTYPES", "computing", "fold_norms", "open_gpu"]

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_WARM_UP_FRAMES = 3  # cuDNN chooses its algorithms, and autocast keeps its half-precision weights


@contextlib.contextmanager
def computing(device: torch.device, precision: str) -> Iterator[None]:
    """Compute without gradients in a precision. Stay inside for all frames: leaving drops the half-precision weights.

    With `fp32`, matrix products and convolutions on a GPU are what `choose_device` has set: TF32.
    """
    dtype = DTYPES[precision]
    with torch.no_grad(), torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        yield


def open_gpu(name: str, contender: Contender, *, device: torch.device, precision: str, seed: int) -> Timed:
    """Build a network, bring it onto the device and let it warm up; inside `computing`."""
    parts = tuple(_open_part(part, device) for part in contender.make(seed).parts)
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return Timed(name, contender.words, parts, f"torch {torch.__version__} on {place}, {precision}")


def fold_norms(graph: nn.Module) -> nn.Module:
    """Fold every batch norm that directly follows a convolution into it, in place, as the exporter does."""
    for module in list(graph.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        for (_, first), (name, second) in itertools.pairwise(list(module.named_children())):
            if not isinstance(second, nn.BatchNorm2d):
                continue
            if isinstance(first, SliceConv):
                first.deep = fuse_conv_bn_eval(first.deep, second)
            elif isinstance(first, nn.Conv2d):
                fused = fuse_conv_bn_eval(first, second)
                first.weight, first.bias = fused.weight, fused.bias
            else:
                continue
            setattr(module, name, nn.Identity())
    return graph


def _open_part(part: Part, device: torch.device) -> TimedPart:
    graph = fold_norms(part.graph.eval()).to(device=device, memory_format=torch.channels_last)
    feeds = [_lay_out(tensor.to(device)) for tensor in part.feeds.values()]

    def run() -> object:
        return graph(*feeds)

    parameters, macs = _count_work(graph, run)
    for _ in range(_WARM_UP_FRAMES):
        run()
    return TimedPart(part.name, _by_events(run, device) if device.type == "cuda" else _by_clock(run), parameters, macs)


def _lay_out(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _count_work(graph: nn.Module, run: Callable[[], object]) -> tuple[int, int]:
    """Return the parameters of the modules that one run calls, and its multiply-adds."""
    called: dict[int, Tensor] = {}

    def note(module: nn.Module, _: object) -> None:
        called.update((id(parameter), parameter) for parameter in module.parameters(recurse=False))

    handles = [module.register_forward_pre_hook(note) for module in graph.modules()]
    with FlopCounterMode(display=False) as counter:
        run()
    for handle in handles:
        handle.remove()
    return sum(parameter.numel() for parameter in called.values()), counter.get_total_flops() // 2


def _by_events(run: Callable[[], object], device: torch.device) -> Callable[[], int]:
    """Time a run on the GPU's own clock, from an idle GPU to its last kernel."""
    stream = torch.cuda.current_stream(device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def timed() -> int:
        stream.synchronize()
        start.record(stream)
        run()
        end.record(stream)
        end.synchronize()
        return round(start.elapsed_time(end) * 1e6)  # milliseconds

    return timed


def _by_clock(run: Callable[[], object]) -> Callable[[], int]:
    def timed() -> int:
        start_ns = time.perf_counter_ns()
        run()
        return time.perf_counter_ns() - start_ns

    return timed
