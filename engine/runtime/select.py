# SPDX-License-Identifier: Apache-2.0
"""Choose a back-end by name, explicitly: a back-end that cannot run is an error with its reason, never a fallback."""

from __future__ import annotations

import importlib.util

from engine.errors import BackendUnavailable
from engine.runtime.base import LearnedRunner, WarpRunner
from engine.runtime.engine_file import EngineKey, default_folder, find_for_gpu
from engine.runtime.manifest import ModelManifest, load_manifest
from engine.runtime.tensorrt_library import FLAVOURS

__all__ = ["BACKENDS", "open_learned_runner", "open_runner"]

BACKENDS = ("auto", "openvino", "openvino:GPU", "openvino:NPU", "tensorrt_rtx", "tensorrt", "torch", "torch:cuda")
_PROFILE = "n1-4-16k2"  # `engine.build.profiles.RANGE`: any number of pictures, which is what the runner can bind


def open_runner(backend: str = "auto", *, model: str = "lite") -> tuple[WarpRunner, str]:
    """Load an implicit-warping model on a back-end.

    Args:
        backend: one of `BACKENDS`; `openvino:DEVICE` and `torch:DEVICE` take any device name of theirs,
            `tensorrt:N` and `tensorrt_rtx:N` the number of a GPU.
        model: a shipped model's folder name.
    Returns:
        the runner, and why it was chosen ("asked for", or auto's reason).
    Raises:
        BackendUnavailable: the back-end is unknown, not installed or cannot run here.
        EngineMissing, EngineMismatch: no engine was built, or it is another one.
        ModelFileMissing, ModelMismatch: the model's files are wrong.
    """
    name, device, reason = _choose(backend)
    if name == "openvino":
        from engine.runtime.openvino_runner import OpenVinoRunner

        return OpenVinoRunner(load_manifest(model), device=device.upper() or "CPU"), reason
    if name in FLAVOURS:
        return _open_tensorrt(load_manifest(model), name, device), reason
    from engine.runtime.torch_runner import TorchRunner

    return TorchRunner(load_manifest(model), device=device or "cpu"), reason


def _open_tensorrt(manifest: ModelManifest, flavour: str, device: str) -> WarpRunner:
    """Load the engine that was built for a GPU; what is missing is said in the order in which it is to be mended."""
    from engine.runtime.cuda import CudaDevice
    from engine.runtime.tensorrt_library import load_library
    from engine.runtime.tensorrt_runner import TensorRtRunner

    if device and not device.isdigit():
        raise BackendUnavailable(
            f"'{device}' is no number of a GPU.", hint=f"Use {flavour} or {flavour}:N, counting from 0."
        )
    cuda = CudaDevice(int(device or 0))
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
    return TensorRtRunner(manifest, engine=path.read_bytes(), library=library, cuda=cuda)


def open_learned_runner(manifest: ModelManifest, *, backend: str = "auto") -> tuple[LearnedRunner, str]:
    """Load a model with learned keypoints on a back-end; arguments and errors as `open_runner`."""
    name, device, reason = _choose(backend)
    if name != "openvino":
        raise BackendUnavailable(
            f"The back-end {name} runs implicit-warping models only, and '{manifest.name}' is {manifest.model}.",
            hint="Use --backend openvino.",
        )
    from engine.runtime.openvino_learned import OpenVinoLearnedRunner

    return OpenVinoLearnedRunner(manifest, device=device.upper() or "CPU"), reason


def _choose(backend: str) -> tuple[str, str, str]:
    """Return the back-end's name, its device ("" for the usual one), and why."""
    name, _, device = backend.partition(":")
    reason = "asked for"
    if backend == "auto":
        name, reason = "openvino", "auto: fastest here"
    if name == "openvino":
        _need("openvino", "python3 run.py")
    elif name == "torch":
        _need("torch", "pip install '.[train]'")
    elif name in FLAVOURS:
        _need(name, f"pip install '.[{FLAVOURS[name]}]'")
    else:
        raise BackendUnavailable(f"There is no back-end '{backend}'.", hint=f"Choose one of: {', '.join(BACKENDS)}.")
    return name, device, reason


def _need(package: str, remedy: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise BackendUnavailable(
            f"The back-end needs the package {package}, which is not installed.", hint=f"Run: {remedy}"
        )
