# SPDX-License-Identifier: Apache-2.0
"""ONNX -> engine files: what is built, what is found again, and what is left when something goes wrong."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import build_engines
from engine.build import engines
from engine.build import flavour as flavours
from engine.build.profiles import BUCKETS
from engine.build.progress import Phases
from engine.errors import (
    BackendUnavailable,
    DiskFull,
    EngineBuildFailed,
    EngineMismatch,
    InvalidSetting,
    OutputUnwritable,
)
from engine.runtime import engine_file
from engine.runtime.manifest import ModelManifest, list_models, load_manifest
from tests.helpers.fake_builder import ARCHITECTURES, FakeBuilder, build, install

GRAPH = b"a graph"


@pytest.fixture
def model(tmp_path: Path) -> ModelManifest:
    (tmp_path / "animate.onnx").write_bytes(GRAPH)
    return replace(load_manifest("lite"), folder=tmp_path)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class TestBuildEngine:
    def test_shapes_types_targets_and_file(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = install(monkeypatch)
        engine = build(model, tmp_path / "out", architectures=("sm86", "sm120"))
        assert engine.fresh
        assert engine.path.read_bytes() == b"engine"
        assert engine.path.parent.name == "tensorrt_rtx-1.2.3"
        digits = model.files["animate.onnx"][:12]
        assert engine.path.name == f"lite.animate.sm86-sm120.fp32.n1-4-16k2.{digits}.engine"
        assert fake.targets == ["86", "120"]
        assert fake.shapes == [{"pick": [(1, 2)] * 3, "rgba": [(1, n, 4, 8, 8) for n in (1, 4, 16)]}]
        assert fake.network_flags == 1 << 3  # strongly typed
        assert fake.cleared == ["tf32"]  # on by default, and geometry is garbage in it
        assert not fake.known_times  # ahead of time nothing is timed

    def test_the_record_says_what_it_was_built_from(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(monkeypatch)
        record = json.loads(build(model, tmp_path / "out").path.with_suffix(".json").read_text())
        assert record["key"]["graph_sha256"] == model.files["animate.onnx"]
        assert record["key"]["architectures"] == list(ARCHITECTURES)
        assert (record["size_bytes"], record["sha256"]) == (6, hashlib.sha256(b"engine").hexdigest())

    def test_built_once_and_again_for_another_graph(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = install(monkeypatch)
        first, second = build(model, tmp_path), build(model, tmp_path)
        assert (second.path, second.fresh, fake.builds) == (first.path, False, 1)
        changed = replace(model, files={**model.files, "animate.onnx": "f" * 64})
        assert build(changed, tmp_path).fresh

    @pytest.mark.parametrize(
        ("damage", "says"),
        [
            (lambda path: path.write_bytes(b"eng"), "is truncated: expected 6 bytes, got 3"),
            (lambda path: path.write_bytes(b"eNgine"), "is damaged"),
            (lambda path: path.with_suffix(".json").unlink(), "has no readable record"),
            (lambda path: path.with_suffix(".json").write_text('{"format": 0}'), "is stale: it has format 0"),
        ],
    )
    def test_a_bad_file_is_told_and_built_again(
        self,
        damage: Callable[[Path], object],
        says: str,
        model: ModelManifest,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        install(monkeypatch)
        path = build(model, tmp_path / "out").path
        damage(path)
        key = engines.engine_key(model, "animate", flavours.load_flavour("tensorrt_rtx"), architectures=ARCHITECTURES)
        found = engine_file.find_engine(tmp_path / "out", key)
        assert found is not None
        with pytest.raises(EngineMismatch, match=f"(?s){says}.*Run: python build_engines.py --flavour tensorrt_rtx"):
            found.require(key)
        again = build(model, tmp_path / "out")
        assert again.fresh
        assert says in again.mended
        assert path.read_bytes() == b"engine"
        assert not build(model, tmp_path / "out").fresh

    def test_a_renamed_engine_is_stale(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(monkeypatch)
        path = build(model, tmp_path / "out", architectures=("sm86",)).path
        for file in (path, path.with_suffix(".json")):
            file.rename(file.with_name(file.name.replace("sm86", "sm89")))
        again = build(model, tmp_path / "out", architectures=("sm89",))
        assert again.mended == "is stale: it was built for architectures sm86, expected sm89"

    def test_a_refused_graph_names_the_node(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(monkeypatch, faults=1)
        with pytest.raises(EngineBuildFailed, match=r"node warp_7 \(GridSample\): no 5-D"):
            build(model, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_failed_build_gives_the_library_s_errors_only(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(monkeypatch, fails=True)
        with pytest.raises(EngineBuildFailed, match="refuses the graph: out of memory:"):
            build(model, tmp_path / "out")
        assert not files_in(tmp_path / "out")

    @pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EROFS, OutputUnwritable)])
    @pytest.mark.parametrize("which", [".engine", ".json"])
    def test_a_write_that_fails_leaves_nothing(
        self,
        which: str,
        number: int,
        kind: type[Exception],
        model: ModelManifest,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        install(monkeypatch)
        move = os.replace

        def refuse(part: Path, target: Path) -> None:
            if target.suffix == which:
                raise OSError(number, "refused")
            move(part, target)

        monkeypatch.setattr(os, "replace", refuse)
        with pytest.raises(kind, match="--out"):
            build(model, tmp_path / "out")
        assert not files_in(tmp_path / "out")

    def test_a_folder_that_cannot_be_written_is_found_before_the_build(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = install(monkeypatch)
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OutputUnwritable, match="Choose another folder with --out"):
            build(model, tmp_path / "file" / "engines")
        assert fake.builds == 0

    def test_ctrl_c_in_a_build_stops_it_and_leaves_no_file(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def press(goes_on: Callable[[], bool]) -> None:
            signal.raise_signal(signal.SIGINT)
            for _ in range(6000):  # the library builds on until it is told
                if not goes_on():
                    return
                time.sleep(0.01)
            pytest.fail("the build was never told to stop")

        fake = install(monkeypatch, during=press)
        with pytest.raises(KeyboardInterrupt):
            build(model, tmp_path / "out")
        assert fake.builds == 1
        assert not files_in(tmp_path / "out")

    def test_progress_never_runs_backwards(self) -> None:
        seen: list[tuple[str, float]] = []
        phases = Phases(lambda name, part: seen.append((name, part)))
        phases.start("all", 2)
        for _ in range(2):  # the same phase twice
            phases.start("half", 4)
            for step in range(4):
                phases.step("half", step)
            phases.finish("half")
        phases.step("all", 1)
        phases.finish("all")
        parts = [part for _, part in seen]
        assert parts == sorted(parts)
        assert (parts[0], seen[1], parts[-1]) == (0.0, ("half", 0.125), 1.0)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", list_models())
    def test_the_shipped_models_build_without_a_gpu(self, name: str, tmp_path: Path) -> None:
        pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (pip install '.[rtx]')")
        engine = build(load_manifest(name), tmp_path)
        assert engine.fresh
        assert engine.size_bytes > 1_000_000
        assert not build(load_manifest(name), tmp_path).fresh


class TestTensorRt:
    """The builder for the GPU at hand; here there is a stand-in for both."""

    @pytest.fixture
    def fake(self, monkeypatch: pytest.MonkeyPatch) -> FakeBuilder:
        monkeypatch.setattr(flavours, "CudaDevice", lambda: SimpleNamespace(architecture="sm90"))
        return install(monkeypatch, version="11.1.0")

    def test_it_builds_for_the_gpu_at_hand_and_keeps_the_times(
        self, fake: FakeBuilder, model: ModelManifest, tmp_path: Path
    ) -> None:
        targets = flavours.load_flavour("tensorrt").architectures(None)
        assert targets == ("sm90",)
        engine = build(model, tmp_path, flavour="tensorrt", architectures=targets, plan=BUCKETS)
        assert engine.path.name.startswith("lite.animate.sm90.fp32.n1-2-4-8-16k2.")
        assert fake.targets == []
        assert [each["rgba"][2][1] for each in fake.shapes] == [1, 2, 4, 8, 16]
        assert [each["rgba"][0][1] for each in fake.shapes] == [1, 2, 3, 5, 9]
        times = tmp_path / "tensorrt-11.1.0" / "sm90.timing"
        assert times.read_bytes() == b"+"
        build(model, tmp_path, flavour="tensorrt", architectures=targets)
        assert fake.known_times == [b"", b"+"]
        times.write_bytes(b"of another version")
        engine.path.unlink()
        build(model, tmp_path, flavour="tensorrt", architectures=targets, plan=BUCKETS)
        assert fake.known_times[2] == b""

    def test_another_gpu_than_the_one_at_hand_is_refused(self, fake: FakeBuilder) -> None:
        with pytest.raises(InvalidSetting, match="that is sm90, asked for sm89"):
            flavours.load_flavour("tensorrt").architectures(("sm89",))

    def test_without_a_gpu_it_says_what_to_do(
        self, fake: FakeBuilder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def missing() -> None:
            raise BackendUnavailable("no NVIDIA GPU.")

        monkeypatch.setattr(flavours, "CudaDevice", missing)
        assert build_engines.main(["--flavour", "tensorrt", "--only", "lite"]) == 7
        assert "build_engines.py --flavour tensorrt_rtx" in capsys.readouterr().err

    def test_a_version_that_is_not_known_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, version="8.6.1")
        with pytest.raises(BackendUnavailable, match=r"TensorRT 8\.6\.1 is .* builds with 10 and 11"):
            flavours.load_flavour("tensorrt")
