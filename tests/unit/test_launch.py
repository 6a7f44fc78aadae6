# SPDX-License-Identifier: Apache-2.0
"""run.py's decisions: which Python, what state .venv is in, what pip's failure means. Nothing is installed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import run
from engine import launch
from engine.launch import LaunchError, environment, pip, python, system
from engine.launch.python import Python

pytestmark = pytest.mark.skipif(os.name == "nt", reason="fake interpreters here are shell scripts")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own; nothing below touches the real one."""
    venv = tmp_path / ".venv"
    for module in (launch, environment, pip):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "VENV", venv)
    monkeypatch.setattr(environment, "STAMP", venv / "bunraku-stamp.json")
    monkeypatch.setattr(environment, "LOCK", tmp_path / ".venv.lock")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text('x = ["torch==2.13.0"]\n')
    return tmp_path


def make_venv(root: Path, *, extras: Sequence[str] = ("vcam",), probe_exit: int = 0) -> None:
    """A .venv whose python answers like ours, and whose import probe ends with `probe_exit`."""
    program = root / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        f'#!/bin/sh\ncase "$2" in\n  *version_info*) exec {sys.executable} "$@" ;;\n  *) exit {probe_exit} ;;\nesac\n'
    )
    program.chmod(0o755)
    environment.write_stamp(sys.version_info[:3], extras)


class TestFindPython:
    def test_takes_the_first_that_fits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {"python3.12": None, "python3.11": Python(["python3.11"], (3, 11, 2), True)}
        monkeypatch.setattr(python, "python_candidates", lambda: [["python3.12"], ["python3.11"], ["python3.10"]])
        monkeypatch.setattr(python, "probe_python", lambda command: known[command[0]])
        assert python.find_python().command == ["python3.11"]

    def test_prefers_one_that_can_make_environments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {"a": Python(["a"], (3, 12, 0), False), "b": Python(["b"], (3, 10, 0), True)}
        monkeypatch.setattr(python, "python_candidates", lambda: [["a"], ["b"]])
        monkeypatch.setattr(python, "probe_python", lambda command: known[command[0]])
        assert python.find_python().command == ["b"]

    def test_falls_back_to_one_that_cannot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(python, "python_candidates", lambda: [["a"]])
        monkeypatch.setattr(python, "probe_python", lambda _command: Python(["a"], (3, 11, 0), False))
        assert not python.find_python().can_make_venv

    @pytest.mark.parametrize(("version", "fits"), [((3, 9, 9), False), ((3, 10, 0), True), ((3, 13, 0), False)])
    def test_names_what_is_needed(
        self, version: tuple[int, int, int], fits: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(python, "python_candidates", lambda: [["a"]])
        monkeypatch.setattr(python, "probe_python", lambda _command: Python(["a"], version, True))
        if fits:
            assert python.find_python().version == version
            return
        with pytest.raises(LaunchError, match=r"needs Python 3\.10, 3\.11 or 3\.12") as caught:
            python.find_python()
        assert ".".join(map(str, version)) in str(caught.value)

    def test_probes_this_interpreter(self) -> None:
        found = python.probe_python([sys.executable])
        assert found is not None
        assert found.version == sys.version_info[:3]

    def test_a_stub_that_does_not_run_is_no_python(self, tmp_path: Path) -> None:
        stub = tmp_path / "python3.12"
        stub.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
        stub.chmod(0o755)
        assert python.probe_python([str(stub)]) is None
        assert python.probe_python([str(tmp_path / "missing")]) is None


class TestEnvironmentState:
    def test_nothing_there_is_broken(self, root: Path) -> None:
        assert environment.environment_state(["vcam"]) == "broken"

    def test_half_made_is_broken(self, root: Path) -> None:
        make_venv(root)
        environment.STAMP.unlink()
        assert environment.environment_state(["vcam"]) == "broken"

    def test_damaged_stamp_is_broken(self, root: Path) -> None:
        make_venv(root)
        environment.STAMP.write_text("{")
        assert environment.environment_state(["vcam"]) == "broken"

    def test_complete_is_ready(self, root: Path) -> None:
        make_venv(root)
        assert environment.environment_state(["vcam"]) == "ready"

    def test_fewer_extras_than_installed_are_ready(self, root: Path) -> None:
        make_venv(root, extras=["vcam", "test", "train"])
        assert environment.environment_state(["vcam"]) == "ready"

    def test_more_extras_are_stale(self, root: Path) -> None:
        make_venv(root)
        assert environment.environment_state(["vcam", "test"]) == "stale"

    def test_changed_project_file_is_stale(self, root: Path) -> None:
        make_venv(root)
        (root / "pyproject.toml").write_text("changed\n")
        assert environment.environment_state(["vcam"]) == "stale"

    def test_failing_imports_are_broken(self, root: Path) -> None:
        make_venv(root, probe_exit=1)
        assert environment.environment_state(["vcam"]) == "broken"

    def test_another_python_inside_is_broken(self, root: Path) -> None:
        make_venv(root)
        stamp = json.loads(environment.STAMP.read_text())
        environment.STAMP.write_text(json.dumps({**stamp, "version": [3, 10, 0]}))
        assert environment.environment_state(["vcam"]) == "broken"

    def test_a_moved_folder_has_another_key(self, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        before = environment.stamp_key((3, 11, 7))
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "pyproject.toml").write_bytes((root / "pyproject.toml").read_bytes())
        monkeypatch.setattr(environment, "ROOT", elsewhere)
        assert environment.stamp_key((3, 11, 7)) != before


class TestEnsureEnvironment:
    def test_ready_does_not_even_lock(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_venv(root)
        environment.ensure_environment(["vcam"])
        assert not environment.LOCK.exists()

    def test_stale_runs_pip_and_stamps_last(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_venv(root)
        calls: list[list[str]] = []

        def fake_pip(args: Sequence[str], **_options: object) -> None:
            assert not environment.STAMP.exists(), "an interrupted installation would look complete"
            calls.append(list(args))

        monkeypatch.setattr(environment, "run_pip", fake_pip)
        monkeypatch.setattr(environment, "torch_source", lambda: ["--index-url", "cpu"])
        environment.ensure_environment(["test", "train"])
        assert calls[1] == ["torch==2.13.0", "--index-url", "cpu"]
        assert calls[-1] == ["--editable", f"{root}[test,train]"]
        assert environment.environment_state(["test"]) == "ready"

    def test_a_failed_pip_leaves_no_stamp(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_venv(root)

        def fail(_args: Sequence[str], **_options: object) -> None:
            raise LaunchError("no network")

        monkeypatch.setattr(environment, "run_pip", fail)
        with pytest.raises(LaunchError, match="no network"):
            environment.ensure_environment(["test"])
        assert environment.environment_state(["vcam"]) == "broken"

    def test_too_little_disk_is_said_before_anything_is_made(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "DISK_NEEDED_GB", {"run": 1e9, "test": 1e9})
        with pytest.raises(LaunchError, match="Not enough disk space"):
            environment.ensure_environment(["vcam"])
        assert not (root / ".venv").exists()

    def test_the_lock_keeps_a_second_run_waiting(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        waits, entered = threading.Event(), threading.Event()
        monkeypatch.setattr(environment.time, "sleep", lambda _s: waits.set())

        def second() -> None:
            with environment.install_lock():
                entered.set()

        with environment.install_lock():
            thread = threading.Thread(target=second)
            thread.start()
            assert waits.wait(20)
            assert not entered.is_set()
        thread.join(20)
        assert entered.is_set()
        assert "waiting" in capsys.readouterr().err


class TestPip:
    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
            ("WARNING: Retrying ... Temporary failure in name resolution", "package index cannot be reached"),
            ("ERROR: No matching distribution found for mediapipe==0.10.21", "has no mediapipe==0.10.21"),
            ("ERROR: something else", "something else"),
            ("", "no reason given"),
        ],
    )
    def test_a_failure_is_one_sentence(self, line: str, words: str) -> None:
        assert words in pip.explain_pip_failure(["Collecting x", line], log_name="install.log")

    def test_progress_says_what_pip_does(self) -> None:
        progress = pip.PipProgress("looking for packages")
        seen = [progress.text]
        for line in (
            "Collecting openvino<2027,>=2026.4",
            "  Downloading openvino-2026.4.1-cp311.whl (59.1 MB)",
            f"Progress {10 << 20} of {59 << 20}",
            "something pip says",
            "Installing collected packages: a, b, c",
        ):
            progress.read(line)
            seen.append(progress.text)
        assert seen == [
            "looking for packages",
            "collecting openvino<2027,>=2026.4",
            "downloading openvino-2026.4.1-cp311.whl",
            "downloading openvino-2026.4.1-cp311.whl  10/59 MB",
            "downloading openvino-2026.4.1-cp311.whl  10/59 MB",
            "unpacking 3 packages",
        ]

    def fake_python(self, root: Path, script: str) -> None:
        program = root / ".venv" / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)

    def run_in(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pip, "venv_path", lambda name: root / ".venv" / "bin" / name)
        pip.run_pip(["x"], what="looking")

    def test_output_goes_to_the_log(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake_python(root, "echo 'Collecting x'; echo 'Progress 1 of 2'\n")
        self.run_in(root, monkeypatch)
        log = (root / ".venv" / "install.log").read_text()
        assert "Collecting x" in log
        assert "Progress" not in log

    def test_a_failing_pip_raises(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake_python(root, "echo 'ERROR: No matching distribution found for x'; exit 1\n")
        with pytest.raises(LaunchError, match="has no x for this Python"):
            self.run_in(root, monkeypatch)

    @pytest.mark.parametrize(
        ("found", "options"),
        [
            ([{"metadata": {"version": "2.13.0+cpu"}}], []),
            ([], []),
            ([{"metadata": {"version": "2.13.0"}}], ["--index-url", pip.TORCH_CPU_INDEX]),
        ],
    )
    def test_cuda_is_kept_out_only_where_pip_would_bring_it(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, found: list[object], options: list[str]
    ) -> None:
        def fake_pip(args: Sequence[str], **_options: object) -> None:
            Path(args[args.index("--report") + 1]).write_text(json.dumps({"install": found}))

        (root / ".venv").mkdir()
        monkeypatch.setattr(pip, "run_pip", fake_pip)
        monkeypatch.setattr(pip.shutil, "which", lambda _name: None)
        monkeypatch.setattr(pip.sys, "platform", "linux")
        assert pip.torch_source() == options

    def test_the_real_project_pins_torch(self) -> None:
        assert pip.torch_requirement().startswith("torch==")


class TestSystem:
    def test_finds_what_is_missing_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system.sys, "platform", "linux")
        names = {"libdoesnotexist.so.1": "libdoesnotexist1", "libneither.so": "libdoesnotexist1", "libc.so.6": "libc6"}
        assert system.missing_system_packages(names) == ["libdoesnotexist1"]

    def test_prints_the_command_to_who_is_not_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
        monkeypatch.setattr(system.shutil, "which", lambda _name: "/usr/bin/apt-get")
        with pytest.raises(LaunchError, match=r"sudo apt-get install -y --no-install-recommends libgl1"):
            system.install_system_packages(["libgl1"])

    def test_names_the_packages_where_there_is_no_apt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system.shutil, "which", lambda _name: None)
        with pytest.raises(LaunchError, match="libgl1"):
            system.install_system_packages(["libgl1"])

    @pytest.mark.parametrize(("variables", "display"), [({}, False), ({"DISPLAY": ":0"}, True)])
    def test_display(self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], display: bool) -> None:
        monkeypatch.setattr(system.sys, "platform", "linux")
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert system.has_display() is display

    @pytest.mark.parametrize(
        ("name", "machine", "there"),
        [("linux", "x86_64", True), ("win32", "AMD64", True), ("linux", "aarch64", False), ("darwin", "x86_64", False)],
    )
    def test_tensorrt_rtx_is_only_asked_for_where_it_exists(
        self, monkeypatch: pytest.MonkeyPatch, name: str, machine: str, there: bool
    ) -> None:
        monkeypatch.setattr(system.sys, "platform", name)
        monkeypatch.setattr(system.platform, "machine", lambda: machine)
        assert system.has_tensorrt_rtx_wheels() is there


class TestCommands:
    @pytest.fixture
    def started(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """Commands that would have been started; nothing is installed."""
        started: list[list[str]] = []
        monkeypatch.setattr(run, "ensure_system_libraries", lambda **_kinds: None)
        monkeypatch.setattr(run, "ensure_environment", lambda _extras: None)
        monkeypatch.setattr(run, "has_display", lambda: False)
        monkeypatch.setattr(run, "start", lambda command: started.append(list(command)) or 0)
        return started

    def test_no_arguments_without_a_display_make_the_demo(self, started: list[list[str]]) -> None:
        assert run.main([]) == 0
        assert [command[1:] for command in started] == [["demo"]]

    def test_no_arguments_with_a_display_and_an_app_open_it(
        self, started: list[list[str]], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "has_display", lambda: True)
        (root / "desktop").mkdir()
        (root / "desktop" / "app.py").touch()
        assert run.main([]) == 0
        assert started[0][1:] == ["-m", "desktop"]

    def test_arguments_go_to_the_command_line(self, started: list[list[str]]) -> None:
        assert run.main(["set", "list"]) == 0
        assert started[0][1:] == ["set", "list"]

    def test_a_launch_error_is_one_line(
        self, started: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(_extras: Sequence[str]) -> None:
            raise LaunchError("The disk is full.")

        monkeypatch.setattr(run, "ensure_environment", fail)
        assert run.main(["demo"]) == 1
        assert capsys.readouterr().err == "The disk is full.\n"
        assert started == []

    def test_ctrl_c_is_130(self, started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(_extras: Sequence[str]) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(run, "ensure_environment", interrupt)
        assert run.main([]) == 130

    def test_every_check_runs_and_one_failure_fails(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); sys.exit(int(sys.argv[2]))"
        checks = [
            (name, [sys.executable, "-c", code, str(root / name), exit_code])
            for name, exit_code in (("first", "3"), ("second", "0"))
        ]
        assert run.run_checks(checks) == 1
        assert (root / "second").exists()
        summary = capsys.readouterr().err.split("== summary")[1]
        assert "first" in summary.split("FAILED")[0]
        assert summary.count("ok") == 1

    def test_all_well_is_zero(self, root: Path) -> None:
        assert run.run_checks([("only", [sys.executable, "-c", "pass"])]) == 0


def pythons_that_start() -> list[str]:
    """This Python, and an old one where the machine has one: a version manager's stub may not run."""
    return [sys.executable, *(name for name in ("python3.8", "python3.9") if python.probe_python([name]))]


@pytest.mark.parametrize("program", pythons_that_start(), ids=lambda program: Path(program).name)
def test_starting_needs_no_package_and_no_new_python(program: str) -> None:
    """run.py starts before anything is installed, with whatever Python there is."""
    code = "import run; print(run.main.__name__); print(*(n for n in sys.modules if n.startswith('engine')))"
    done = subprocess.run(
        [program, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(launch.ROOT)!r}); {code}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    name, modules = done.stdout.splitlines()
    assert name == "main"
    assert {module for module in modules.split() if not module.startswith("engine.launch")} == {"engine"}
