# SPDX-License-Identifier: Apache-2.0
"""Choose a back-end by name, explicitly: a back-end that cannot run is an error with its reason, never a fallback."""

from __future__ import annotations

import importlib.util

from engine.errors import BackendUnavailable
from engine.runtime.base import LearnedRunner, WarpRunner
from engine.runtime.manifest import ModelManifest, load_manifest

__all__ = ["BACKENDS", "open_learned_runner", "open_runner"]

BACKENDS = ("auto", "openvino", "openvino:GPU", "openvino:NPU", "torch", "torch:cuda")


def open_runner(backend: str = "auto", *, model: str = "lite") -> tuple[WarpRunner, str]:
    """Load an implicit-warping model on a back-end.

    Args:
        backend: one of `BACKENDS`; `openvino:DEVICE` and `torch:DEVICE` take any device name of theirs.
        model: a shipped model's folder name.
    Returns:
        the runner, and why it was chosen ("asked for", or auto's reason).
    Raises:
        BackendUnavailable: the back-end is unknown, not installed or cannot run here.
        ModelFileMissing, ModelMismatch: the model's files are wrong.
    """
    name, device, reason = _choose(backend)
    if name == "openvino":
        from engine.runtime.openvino_runner import OpenVinoRunner

        return OpenVinoRunner(load_manifest(model), device=device.upper() or "CPU"), reason
    from engine.runtime.torch_runner import TorchRunner

    return TorchRunner(load_manifest(model), device=device or "cpu"), reason


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
    else:
        raise BackendUnavailable(f"There is no back-end '{backend}'.", hint=f"Choose one of: {', '.join(BACKENDS)}.")
    return name, device, reason


def _need(package: str, remedy: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise BackendUnavailable(
            f"The back-end needs the package {package}, which is not installed.", hint=f"Run: {remedy}"
        )
