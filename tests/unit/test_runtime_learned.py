# SPDX-License-Identifier: Apache-2.0
"""Models with learned keypoints on OpenVINO: manifest, graphs, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import BackendUnavailable, InferenceFailed, ModelMismatch
from engine.runtime import manifest as module
from engine.runtime.manifest import IMPLICIT_WARP, LEARNED_MOTION, load_manifest
from engine.runtime.openvino_learned import OpenVinoLearnedRunner
from engine.runtime.select import open_learned_runner
from tests.helpers.tiny_learned import POINTS, SIDE_PX, base_motion, write_learned_model

pytest.importorskip("onnx")
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Put a tiny model into an otherwise empty assets folder."""
    monkeypatch.setattr(module, "asset_root", lambda: tmp_path)

    def write(kind: str, name: str = "", **options: Any) -> Path:
        return write_learned_model(tmp_path / "models" / (name or kind), kind, **options)

    return write


def picture(red: float, green: float, blue: float) -> np.ndarray:
    planes = np.empty((3, SIDE_PX, SIDE_PX), np.float32)
    planes[:] = np.array([red, green, blue], np.float32)[:, None, None]
    return planes


@pytest.mark.parametrize("kind", LEARNED_MOTION)
def test_manifests_of_every_kind_are_read(write: Write, kind: str) -> None:
    folder = write(kind, "mine")
    manifest = load_manifest("mine")
    manifest.verify()
    assert (manifest.name, manifest.model, manifest.side_px, manifest.folder) == ("mine", kind, SIDE_PX, folder)
    assert manifest.learned
    assert tuple(manifest.motion) == LEARNED_MOTION[kind]
    assert all(manifest.motion[name] == value.shape for name, value in base_motion(kind).items())
    assert manifest.cache == ("pictures",)


def test_a_manifest_without_a_kind_is_implicit_warping() -> None:
    assert load_manifest("lite").model == IMPLICIT_WARP
    assert not load_manifest("lite").learned


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "gan"}, "of kind 'gan', this program runs implicit_warp, fomm, fv2v, implicit_warp_paper"),
        ({"motion": {"position": [4, 2]}}, "expected motion tensors position, jacobian, got position"),
        ({"motion": {"position": "wide", "jacobian": [4, 2, 2]}}, "cannot be read"),
        ({"motion": None}, "cannot be read"),
    ],
    ids=["kind", "missing tensor", "no shape", "no motion"],
)
def test_wrong_manifests_say_so(write: Write, change: dict[str, Any], says: str) -> None:
    path = write("fomm") / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelMismatch, match=says):
        load_manifest("fomm")


@pytest.mark.parametrize("kind", LEARNED_MOTION)
def test_graphs_are_run_with_names_and_shapes_of_the_contract(write: Write, kind: str) -> None:
    write(kind)
    runner = OpenVinoLearnedRunner(load_manifest(kind), threads=1)
    found = runner.detect(picture(0.3, 0.1, 0.2))
    for name, base in base_motion(kind).items():
        shift = np.resize([0.3, 0.1, 0.2], base.shape[-1:])
        if name == "rotation":
            shift = 0
        elif name == "strength":
            shift = 0.3
        np.testing.assert_allclose(found[name], base + shift, atol=1e-6, err_msg=name)
    for count in (1, 3):  # N is open
        sources, motions = runner.encode(np.stack([picture(0.2 * i, 0, -0.4) for i in range(count)]))
        assert (sources.count, len(motions)) == (count, count)
        moved = {name: np.zeros_like(value) for name, value in found.items()}
        plain = runner.animate(sources, moved).copy()
        assert plain.shape == (3, SIDE_PX, SIDE_PX)
        np.testing.assert_allclose(plain[:, 5, 5], [0.1 * (count - 1), 0, -0.4], atol=1e-6)
        first = "expression" if kind == "fv2v" else LEARNED_MOTION[kind][0]
        brighter = runner.animate(sources, {**moved, first: np.full_like(found[first], 0.25)})
        np.testing.assert_allclose(brighter, plain + 0.25, atol=1e-6)
    runner.close()


def test_a_motion_belongs_to_the_caller(write: Write) -> None:
    write("fomm")
    runner = OpenVinoLearnedRunner(load_manifest("fomm"), threads=1)
    first = runner.detect(picture(0.5, 0, 0))
    kept = first["position"].copy()
    runner.detect(picture(-0.5, 0, 0))
    np.testing.assert_array_equal(first["position"], kept)


def test_description_names_backend_and_precision(write: Write) -> None:
    write("fomm")
    runner, reason = open_learned_runner(load_manifest("fomm"))
    assert runner.description.startswith("openvino 20")
    assert runner.description.endswith("fp32")
    assert reason.startswith("auto")
    assert open_learned_runner(load_manifest("fomm"), backend="openvino:cpu")[1] == "asked for"


def test_torch_is_refused_in_a_sentence(write: Write) -> None:
    write("fomm")
    pytest.importorskip("torch")
    with pytest.raises(BackendUnavailable, match="torch runs implicit-warping models only, and 'fomm' is fomm"):
        open_learned_runner(load_manifest("fomm"), backend="torch")


@pytest.mark.parametrize("backend", ["abacus", "openvino:XYZ"])
def test_unknown_backends_and_devices(write: Write, backend: str) -> None:
    write("fomm")
    with pytest.raises(BackendUnavailable):
        open_learned_runner(load_manifest("fomm"), backend=backend)


def test_a_graph_that_breaks_its_promise_is_named(write: Write) -> None:
    write("fomm", lacks="jacobian")
    runner = OpenVinoLearnedRunner(load_manifest("fomm"), threads=1)
    with pytest.raises(ModelMismatch, match=r"detect\.onnx of 'fomm' has no output 'jacobian'"):
        runner.detect(picture(0, 0, 0))


def test_a_cache_that_the_frame_graph_does_not_take_is_named(write: Write) -> None:
    path = write("fomm") / "manifest.json"
    path.write_text(path.read_text().replace('"cache": ["pictures"]', '"cache": ["rgb"]'))
    runner = OpenVinoLearnedRunner(load_manifest("fomm"), threads=1)
    with pytest.raises(ModelMismatch, match=r"cannot read animate\.onnx of 'fomm'"):
        runner.encode(picture(0, 0, 0)[None])


def test_motion_that_does_not_fit_fails_as_inference(write: Write) -> None:
    write("implicit_warp_paper", "paper")
    runner = OpenVinoLearnedRunner(load_manifest("paper"), threads=1)
    sources, _ = runner.encode(picture(0, 0, 0)[None])
    wrong = {"position": np.zeros((POINTS + 1, 2), np.float32), "strength": np.zeros(POINTS, np.float32)}
    with pytest.raises(InferenceFailed, match="OpenVINO failed on CPU"):
        runner.animate(sources, wrong)
