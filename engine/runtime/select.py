# SPDX-License-Identifier: Apache-2.0
"""Choose a back-end by name, explicitly: a back-end that cannot run is an error with its reason, never a fallback.

`auto` alone chooses by itself: an NVIDIA GPU with an engine for the model, else OpenVINO on the CPU; and says why.
"""

from __future__ import annotations

import importlib.util

from engine.errors import BackendUnavailable
from engine.runtime.base import LearnedRunner, WarpRunner
from engine.runtime.manifest import ModelManifest, load_manifest
from engine.runtime.nvidia import find_engine_here, open_tensorrt
from engine.runtime.tensorrt_library import FLAVOURS

__all__ = ["BACKENDS", "open_chosen_runner", "open_learned_runner", "open_runner"]

_ASKED = "asked for"
BACKENDS = ("auto", "openvino", "openvino:GPU", "openvino:NPU", "tensorrt_rtx", "tensorrt", "torch", "torch:cuda")


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
    return open_chosen_runner(backend, model=model)[:2]


def open_chosen_runner(backend: str = "auto", *, model: str = "lite") -> tuple[WarpRunner, str, str]:
    """As `open_runner`; returns the back-end's name too: `backend` itself, or what auto has chosen."""
    manifest = load_manifest(model)
    why_not = ""
    if backend == "auto":
        runner, found = find_engine_here(manifest)
        if runner is not None:
            return runner, "auto: an NVIDIA GPU and an engine for it are here", found
        why_not = found
    name, device = _choose(backend)
    if name == "openvino":
        from engine.runtime.openvino_runner import OpenVinoRunner

        reason = f"auto: openvino on CPU, because {why_not}" if backend == "auto" else _ASKED
        opened = OpenVinoRunner(manifest, device=device.upper() or "CPU")
        return opened, reason, name if backend == "auto" else backend
    if name in FLAVOURS:
        return open_tensorrt(manifest, name, device), _ASKED, backend
    from engine.runtime.torch_runner import TorchRunner

    return TorchRunner(manifest, device=device or "cpu"), _ASKED, backend


def open_learned_runner(manifest: ModelManifest, *, backend: str = "auto") -> tuple[LearnedRunner, str]:
    """Load a model with learned keypoints on a back-end; arguments and errors as `open_runner`."""
    name, device = _choose(backend)
    reason = f"auto: openvino on CPU, because {find_engine_here(manifest)[1]}" if backend == "auto" else _ASKED
    if name != "openvino":
        raise BackendUnavailable(
            f"The back-end {name} runs implicit-warping models only, and '{manifest.name}' is {manifest.model}.",
            hint="Use --backend openvino.",
        )
    from engine.runtime.openvino_learned import OpenVinoLearnedRunner

    return OpenVinoLearnedRunner(manifest, device=device.upper() or "CPU"), reason


def _choose(backend: str) -> tuple[str, str]:
    """Return the back-end's name and its device ("" for the usual one); for `auto` what it falls back on."""
    name, _, device = ("openvino" if backend == "auto" else backend).partition(":")
    if name == "openvino":
        _need("openvino", "python3 run.py")
    elif name == "torch":
        _need("torch", "pip install '.[train]'")
    elif name in FLAVOURS:
        _need(name, f"pip install '.[{FLAVOURS[name]}]'")
    else:
        raise BackendUnavailable(f"There is no back-end '{backend}'.", hint=f"Choose one of: {', '.join(BACKENDS)}.")
    return name, device


def _need(package: str, remedy: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise BackendUnavailable(
            f"The back-end needs the package {package}, which is not installed.", hint=f"Run: {remedy}"
        )
