# SPDX-License-Identifier: Apache-2.0
"""build_engines.py: what it lists, what it refuses, and, where TensorRT for RTX is installed, what it builds."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import build_engines
from engine.build import rtx
from engine.errors import BackendUnavailable, DiskFull, OutputUnwritable
from engine.runtime import manifest as manifests
from engine.runtime.manifest import ModelManifest, list_models, load_manifest

GRAPH = b"a graph"


class FakeRtx:
    """A builder that counts its work: `tensorrt_rtx` as far as `engine.build.rtx` sees it."""

    __version__ = "1.2.3"

    class ILogger:
        Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0, WARNING=2)

    class ComputeCapability:
        SM86, SM89, SM120 = "86", "89", "120"

    def __init__(self, *, inputs: dict[str, tuple[int, ...]], faults: int = 0, fails: bool = False) -> None:
        self.inputs, self.faults, self.fails = inputs, faults, fails
        self.shapes: dict[str, list[tuple[int, ...]]] = {}
        self.targets: list[str] = []
        self.builds = 0

    def Builder(self, logger: object) -> FakeRtx:
        self.logger = logger
        return self

    def create_network(self, flags: int) -> FakeRtx:
        return self

    def OnnxParser(self, network: object, logger: object) -> SimpleNamespace:
        fault = SimpleNamespace(node_name=lambda: "warp_7", node_operator=lambda: "GridSample", desc=lambda: "no 5-D")
        return SimpleNamespace(
            parse_from_file=lambda path: not self.faults, num_errors=self.faults, get_error=lambda index: fault
        )

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> SimpleNamespace:
        name = list(self.inputs)[index]
        return SimpleNamespace(name=name, shape=self.inputs[name])

    def create_optimization_profile(self) -> SimpleNamespace:
        return SimpleNamespace(set_shape=lambda name, *shapes: self.shapes.update({name: list(shapes)}))

    def create_builder_config(self) -> SimpleNamespace:
        return SimpleNamespace(
            add_optimization_profile=lambda profile: None,
            set_compute_capability=lambda target, index: self.targets.insert(index, target),
        )

    def build_serialized_network(self, network: object, config: object) -> bytes | None:
        self.builds += 1
        if self.fails:
            self.logger.log(1, " out of memory \n")  # type: ignore[attr-defined]
            self.logger.log(2, "only a warning")  # type: ignore[attr-defined]
            return None
        return b"engine"


@pytest.fixture
def model(tmp_path: Path) -> ModelManifest:
    (tmp_path / "animate.onnx").write_bytes(GRAPH)
    return replace(load_manifest("lite"), folder=tmp_path)


def install(monkeypatch: pytest.MonkeyPatch, **options: object) -> FakeRtx:
    fake = FakeRtx(inputs={"keypoints": (1, 478, 3), "pick": (1, -1), "rgba": (1, -1, 4, 8, 8)}, **options)  # type: ignore[arg-type]
    monkeypatch.setattr(rtx, "load_builder", lambda: fake)
    return fake


class TestBuildEngine:
    def test_shapes_targets_and_file(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = install(monkeypatch)
        engine = rtx.build_engine(model, tmp_path / "out", targets=("sm86", "sm120"))
        assert engine.fresh
        assert engine.path.read_bytes() == b"engine"
        assert engine.path.parent.name == "tensorrt_rtx-1.2.3"
        assert engine.path.name == f"lite.sm86-sm120.{model.files['animate.onnx'][:12]}.engine"
        assert fake.targets == ["86", "120"]
        assert fake.shapes == {"pick": [(1, 2)] * 3, "rgba": [(1, n, 4, 8, 8) for n in (1, 4, 16)]}

    def test_built_once_and_again_for_another_graph(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = install(monkeypatch)
        first = rtx.build_engine(model, tmp_path)
        second = rtx.build_engine(model, tmp_path)
        assert (second.path, second.fresh, fake.builds) == (first.path, False, 1)
        changed = replace(model, files={**model.files, "animate.onnx": "f" * 64})
        assert rtx.build_engine(changed, tmp_path).fresh

    def test_a_refused_graph_names_the_node(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(monkeypatch, faults=1)
        with pytest.raises(BackendUnavailable, match=r"node warp_7 \(GridSample\): no 5-D"):
            rtx.build_engine(model, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_failed_build_gives_the_library_s_errors_only(
        self, model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(monkeypatch, fails=True)
        with pytest.raises(BackendUnavailable, match="refuses the graph: out of memory:"):
            rtx.build_engine(model, tmp_path)

    @pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EROFS, OutputUnwritable)])
    def test_a_write_that_fails_leaves_nothing(
        self, number: int, kind: type[Exception], model: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(monkeypatch)

        def refuse(self: Path, target: Path) -> None:
            raise OSError(number, "refused")

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(kind):
            rtx.build_engine(model, tmp_path / "out")
        assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]

    @pytest.mark.slow
    @pytest.mark.parametrize("name", list_models())
    def test_the_shipped_models_build_without_a_gpu(self, name: str, tmp_path: Path) -> None:
        pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (pip install '.[rtx]')")
        engine = rtx.build_engine(load_manifest(name), tmp_path, targets=("sm86", "sm89", "sm120"))
        assert engine.fresh
        assert engine.size_bytes > 1_000_000


class TestCommand:
    def test_list_names_every_graph_with_its_hash(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert build_engines.main(["--list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        for name in list_models():
            for file, sha256 in load_manifest(name).files.items():
                assert any({name, file, sha256} <= set(line.split()) for line in lines)

    def test_check_builds_nothing(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(build_engines, "build", lambda *args, **named: pytest.fail("it builds"))
        assert build_engines.main(["--check", "--only", "lite"]) == 0
        assert capsys.readouterr().out.startswith("lite: 2 files")

    def test_a_damaged_model_is_7(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(load_manifest("lite").folder, tmp_path / "models" / "lite")
        with (tmp_path / "models" / "lite" / "animate.onnx").open("ab") as file:
            file.write(b"x")
        monkeypatch.setattr(manifests, "asset_root", lambda: tmp_path)
        assert build_engines.main([]) == 7
        assert "animate.onnx" in capsys.readouterr().err

    def test_without_the_library_it_says_how_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
        assert build_engines.main(["--only", "lite"]) == 7
        captured = capsys.readouterr()
        assert "pip install '.[rtx]'" in captured.err
        assert "sm86" not in captured.out

    def test_every_model_is_built_for_the_targets(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake = install(monkeypatch)
        assert build_engines.main(["--out", str(tmp_path), "--target", "sm120,sm86"]) == 0
        assert fake.builds == len(list_models())
        assert fake.targets == ["86", "120"] * fake.builds
        assert len(list(tmp_path.rglob("*.sm86-sm120.*.engine"))) == fake.builds
        assert build_engines.main(["--out", str(tmp_path), "--target", "sm120,sm86"]) == 0
        assert capsys.readouterr().out.count("there already") == fake.builds

    @pytest.mark.parametrize("arguments", [["--target", "sm90"], ["--only", "nobody"], ["--list", "--check"]])
    def test_a_wrong_option_is_2(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            build_engines.main(arguments)
        assert ended.value.code == 2
        assert "error:" in capsys.readouterr().err

    def test_ctrl_c_is_130(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def interrupt(*args: object, **named: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(build_engines, "build", interrupt)
        assert build_engines.main(["--only", "lite"]) == 130
        assert capsys.readouterr().err == "Stopped.\n"

    def test_a_python_without_bunraku_is_told(self) -> None:
        program = Path(build_engines.__file__)
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(program), "--list"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 7
        assert "Run python3 run.py" in done.stderr
