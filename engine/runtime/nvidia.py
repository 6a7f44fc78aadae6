# SPDX-License-Identifier: Apache-2.0
"""From a machine to an engine on its NVIDIA GPU: driver, packages, GPU, engine file, in the order of mending.

`open_tensorrt` is told what to use and raises where it cannot; `find_engine_here` is what `auto` asks, and gives the
reason in words where it is not to be had. Neither loads anything of NVIDIA's before it has found a driver or been told.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import sys

from engine.errors import BackendUnavailable, EngineError, PuppeteerError
from engine.runtime.base import WarpRunner
from engine.runtime.engine_file import EngineKey, default_folder, find_for_gpu
from engine.runtime.manifest import ModelManifest
from engine.runtime.tensorrt_library import FLAVOURS, RTX_KNOWN, load_library

__all__ = ["find_engine_here", "has_driver", "in_words", "open_tensorrt"]

log = logging.getLogger(__name__)

_PROFILE = "n1-4-16k2"  # `engine.build.profiles.RANGE`, preferred to buckets where both were built


def has_driver() -> bool:
    """Whether the NVIDIA driver's library can be loaded; costs nothing where it cannot."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def find_engine_here(manifest: ModelManifest) -> tuple[WarpRunner | None, str]:
    """Return a runner on the first NVIDIA GPU and its back-end, or None and the reason, to be put after "because"."""
    if not has_driver():
        return None, "no NVIDIA driver was found"
    if manifest.learned:
        return None, f"NVIDIA back-ends run implicit-warping models only, and '{manifest.name}' is {manifest.model}"
    installed = [flavour for flavour in reversed(FLAVOURS) if importlib.util.find_spec(flavour) is not None]
    if not installed:
        extras = " or ".join(f"pip install '.[{extra}]'" for extra in FLAVOURS.values())
        return None, f"neither {' nor '.join(FLAVOURS)} is installed beside the NVIDIA driver; run: {extras}"
    reasons = []
    for flavour in installed:
        try:
            return open_tensorrt(manifest, flavour), flavour
        except EngineError as error:
            reasons.append(in_words(error))
        except Exception as error:  # a library of NVIDIA's may raise anything, and nobody has asked for it
            log.exception("%s failed while it was opened", flavour)
            reasons.append(f"{flavour} failed ({type(error).__name__}: {error}); --backend {flavour} shows where")
    return None, "; and ".join(dict.fromkeys(reasons))


def in_words(error: PuppeteerError) -> str:
    """Return an error's sentences as part of another sentence: `no engine was built for sm89; run: python …`."""
    parts = [part.strip().rstrip(".") for part in (error.message, error.hint) if part]
    return "; ".join(part[0].lower() + part[1:] if part[1:2].islower() else part for part in parts)


def open_tensorrt(manifest: ModelManifest, flavour: str, device: str = "") -> WarpRunner:
    """Load the engine that was built for a GPU.

    Args:
        flavour: `tensorrt` or `tensorrt_rtx`. device: the GPU's number, empty for the first.
    Raises:
        BackendUnavailable: no such GPU, no driver, one that is too old, or a package is missing.
        EngineMissing, EngineMismatch: no engine was built for this GPU and version, or it is damaged or stale.
        OutOfDeviceMemory, CudaError: the GPU is full or fails.
    """
    from engine.runtime.cuda import CudaDevice
    from engine.runtime.tensorrt_runner import TensorRtRunner

    if device and not device.isdigit():
        raise BackendUnavailable(
            f"'{device}' is no number of a GPU.", hint=f"Use {flavour} or {flavour}:N, counting from 0."
        )
    cuda = CudaDevice(int(device or 0))
    try:
        _require_known(cuda.name, cuda.architecture, flavour)
        library = load_library(flavour)
        wanted = EngineKey(
            model=manifest.name,
            graph="animate",
            graph_sha256=manifest.files["animate.onnx"],
            flavour=flavour,
            version=library.__version__,
            architectures=(cuda.architecture,),
            precision="fp16" if manifest.islands else "fp32",
            profile=_PROFILE,
        )
        path = find_for_gpu(default_folder(), wanted)
        kernels = path.with_name(f"{path.stem}.{cuda.architecture}.kernels")
        return TensorRtRunner(manifest, engine=path.read_bytes(), library=library, cuda=cuda, cache=kernels)
    except BaseException:
        cuda.close()
        raise


def _require_known(name: str, architecture: str, flavour: str) -> None:
    if flavour == "tensorrt_rtx" and architecture not in RTX_KNOWN:
        raise BackendUnavailable(
            f"{name} is {architecture}, and TensorRT for RTX runs our models on {', '.join(RTX_KNOWN)}.",
            hint="Use TensorRT instead: pip install '.[tensorrt]', then python build_engines.py --flavour tensorrt",
        )
