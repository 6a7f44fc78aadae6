# SPDX-License-Identifier: Apache-2.0
"""build_engines.py: what it lists, checks, refuses and builds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import build_engines
from engine.build import engines
from engine.runtime import manifest as manifests
from engine.runtime.manifest import list_models, load_manifest
from tests.helpers.fake_builder import build, install


class TestCommand:
    def test_list_names_every_graph_with_its_hash(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert build_engines.main(["--list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        for name in list_models():
            for file, sha256 in load_manifest(name).files.items():
                assert any({name, file, sha256} <= set(line.split()) for line in lines)

    def test_list_shows_the_engines_and_which_are_stale(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        install(monkeypatch)
        old = replace(load_manifest("lite"), files={**load_manifest("lite").files, "animate.onnx": "f" * 64})
        build(old, tmp_path), build(load_manifest("lite"), tmp_path)
        monkeypatch.setattr(build_engines, "installed_versions", dict)
        assert build_engines.main(["--list", "--only", "lite", "--out", str(tmp_path)]) == 0
        table = capsys.readouterr().out.split(f"Engines in {tmp_path}:\n")[1].splitlines()
        assert table[0].split()[:2] == ["model", "graph"]
        assert sorted(line.split("0.0  ")[1] for line in table[1:]) == [
            "good",
            "stale: animate.onnx of 'lite' has changed since",
        ]
        monkeypatch.setattr(build_engines, "installed_versions", lambda: {"tensorrt_rtx": "1.3"})
        assert build_engines.main(["--list", "--only", "lite", "--out", str(tmp_path)]) == 0
        assert "stale: it was built with tensorrt_rtx 1.2.3, and 1.3 is installed" in capsys.readouterr().out
        assert build_engines.main(["--check", "--only", "lite", "--out", str(tmp_path)]) == 0  # of no harm
        assert "Delete it and run: python build_engines.py" in capsys.readouterr().out

    def test_check_reads_the_graphs_and_builds_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake = install(monkeypatch)
        assert build_engines.main(["--check", "--only", "lite", "--out", str(tmp_path)]) == 0
        out = capsys.readouterr().out
        assert out.startswith("lite: 3 files")
        assert "lite: animate is read by tensorrt_rtx 1.2.3: 7 layers" in out
        assert fake.builds == 0

    def test_check_without_the_library_says_what_it_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
        assert build_engines.main(["--check", "--only", "lite", "--out", str(tmp_path)]) == 0
        assert "Operators were not checked." in capsys.readouterr().out

    def test_check_is_7_for_a_refused_graph_and_for_a_truncated_engine(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["--check", "--only", "lite", "--out", str(tmp_path)]
        install(monkeypatch, faults=1)
        assert build_engines.main(command) == 7
        assert "warp_7" in capsys.readouterr().err
        install(monkeypatch)
        build(load_manifest("lite"), tmp_path).path.write_bytes(b"e")
        assert build_engines.main(command) == 7
        captured = capsys.readouterr()
        assert "is truncated: expected 6 bytes, got 1. Run: python build_engines.py" in captured.out
        assert captured.err == "1 engine file is of no use, see above.\n"

    def test_parity_of_an_exact_model(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert build_engines.main(["--parity", "--only", "lite"]) == 0
        assert "lite: portrait in fp32 through openvino: PSNR inf dB" in capsys.readouterr().out

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
        expected = sum(len(engines.frame_graphs(load_manifest(name))) for name in list_models())
        command = ["--out", str(tmp_path), "--target", "sm120,sm86"]
        assert build_engines.main(command) == 0
        assert fake.builds == expected
        assert fake.targets == ["86", "120"] * expected
        assert len(list(tmp_path.rglob("*.sm86-sm120.*.engine"))) == expected
        assert "Engines in" in capsys.readouterr().out
        assert build_engines.main(command) == 0
        assert capsys.readouterr().out.count("there already") == expected

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--target", "sm90"],
            ["--target", "ada"],
            ["--flavour", "torch"],
            ["--only", "nobody"],
            ["--list", "--check"],
        ],
    )
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
