# SPDX-License-Identifier: Apache-2.0
"""The command line: options become jobs, errors become one sentence and an exit code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from engine import errors
from engine.cli import console, main
from engine.cli.commands import app
from engine.cli.console import log_path
from engine.cli.guard import INTERRUPTED, UNEXPECTED, guarded
from engine.cli.options import MODEL_NAMES, parse_counts, parse_size, settings_from
from engine.config import LiveSettings, MotionSettings
from engine.errors import InvalidSetting

COMMANDS = (
    *("animate", "bench", "cameras", "compare", "demo", "doctor", "eval", "interpolate", "run", "set", "soak"),
    "verify",
)


def invoke(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def app_that(action: Callable[[], None]) -> typer.Typer:
    """An application with one command that does something, under our guard."""
    one = typer.Typer()

    @one.command()
    @guarded
    def command() -> None:
        action()

    return one


def raiser(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


class TestGuard:
    @pytest.mark.parametrize(
        "error",
        [
            errors.InvalidSetting("Wrong size.", hint="Say 1280x720."),
            errors.SourceSetMissing("No such set."),
            errors.NoFaceInDriver("No face."),
            errors.CameraBusy("Busy."),
            errors.DiskFull("Full."),
            errors.BackendUnavailable("No GPU."),
            errors.WatermarkError("Not marked."),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_our_errors_are_one_sentence(self, error: errors.PuppeteerError) -> None:
        result = CliRunner().invoke(app_that(raiser(error)), [])
        assert result.exit_code == error.exit_code
        assert result.stderr == f"{error}\n"
        assert result.stdout == ""

    def test_ctrl_c(self) -> None:
        result = CliRunner().invoke(app_that(raiser(KeyboardInterrupt())), [])
        assert result.exit_code == INTERRUPTED
        assert result.stderr == "Stopped.\n"

    def test_anything_else_names_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        result = CliRunner().invoke(app_that(raiser(ZeroDivisionError("odd"))), [])
        assert result.exit_code == UNEXPECTED
        assert "ZeroDivisionError: odd" in result.stderr
        assert str(log_path()) in result.stderr
        assert "Traceback" not in result.stderr
        assert "Traceback" in log_path().read_text(encoding="utf-8")

    def test_debug_lets_the_error_through(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_args: object, **_options: object) -> None:
            raise errors.SourceSetMissing("No such set.")

        monkeypatch.setattr("engine.app.demo_job", fail)
        assert isinstance(invoke("--debug", "demo").exception, errors.SourceSetMissing)
        assert invoke("demo").exit_code == errors.SourceSetMissing.exit_code

    def test_an_exit_code_passes(self) -> None:
        assert CliRunner().invoke(app_that(raiser(typer.Exit(7))), []).exit_code == 7

    def test_warnings_are_notes_on_stderr(self, caplog: pytest.LogCaptureFixture) -> None:
        result = CliRunner().invoke(app_that(lambda: logging.getLogger("engine.x").warning("two faces")), [])
        assert result.stderr == "note: two faces\n"
        assert result.exit_code == 0

    def test_the_log_handlers_leave(self) -> None:
        before = list(logging.getLogger("engine").handlers)
        CliRunner().invoke(app_that(lambda: None), [])
        assert logging.getLogger("engine").handlers == before


class TestOptions:
    @pytest.mark.parametrize(("text", "size_wh"), [("1280x720", (1280, 720)), (" 64 X 96 ", (64, 96))])
    def test_size(self, text: str, size_wh: tuple[int, int]) -> None:
        assert parse_size(text) == size_wh

    @pytest.mark.parametrize("text", ["", "1280", "1280x", "x720", "-1x5", "big"])
    def test_wrong_size(self, text: str) -> None:
        with pytest.raises(InvalidSetting, match="WIDTHxHEIGHT"):
            parse_size(text)

    def test_counts(self) -> None:
        assert parse_counts("1,2,8", name="--sources") == (1, 2, 8)

    @pytest.mark.parametrize("text", ["", "0", "1,x", "1,,2", "-1"])
    def test_wrong_counts(self, text: str) -> None:
        with pytest.raises(InvalidSetting, match="--sources"):
            parse_counts(text, name="--sources")

    def test_defaults(self) -> None:
        settings = settings_from(settings=None, default_size_wh=(512, 512))
        assert settings.output.size_wh == (512, 512)
        assert settings.motion == MotionSettings()

    def test_options_win_over_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "settings.toml"
        file.write_text('[motion]\nhead = 0.5\n[output]\nsize_wh = [640, 360]\nbackground = "green"\n')
        settings = settings_from(
            settings=file, default_size_wh=(512, 512), background="#102030", mirror=True, fps=25.0, absolute=True
        )
        assert settings.output.size_wh == (640, 360)
        assert settings.output.background == "#102030"
        assert (settings.output.mirrored, settings.output.fps) == (True, 25.0)
        assert (settings.motion.head, settings.motion.motion) == (0.5, 0.0)

    def test_a_missing_file_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSetting, match="does not exist"):
            settings_from(settings=tmp_path / "none.toml", default_size_wh=(512, 512))

    def test_a_value_outside_its_limits_is_said(self) -> None:
        with pytest.raises(InvalidSetting, match=r"output\.fps"):
            settings_from(settings=None, default_size_wh=(512, 512), fps=1e6)


class TestCommands:
    def test_help_lists_every_command(self) -> None:
        result = invoke("--help")
        assert result.exit_code == 0
        listed = {line.split()[0] for line in result.stdout.split("Commands:")[1].splitlines() if line.strip()}
        assert listed == set(COMMANDS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_help(self, command: str) -> None:
        result = invoke(command, "--help")
        assert result.exit_code == 0
        assert "Usage: bunraku" in result.stdout.replace("root", "bunraku")

    @pytest.mark.parametrize("command", ["animate", "bench", "compare", "demo", "eval", "run", "soak"])
    def test_help_lists_every_shipped_model(self, command: str) -> None:
        from engine.runtime.manifest import list_models

        assert ", ".join(list_models()) == MODEL_NAMES
        text = "".join(invoke(command, "--help").stdout.split())  # lines are broken at hyphens too
        assert MODEL_NAMES.replace(" ", "") in text

    def test_an_unknown_option_is_2(self) -> None:
        assert invoke("demo", "--nonsense").exit_code == 2

    def test_set_list_gives_the_name_first(self) -> None:
        result = invoke("set", "list")
        assert result.exit_code == 0
        from engine.sources import list_source_sets

        names = [info.name for info in list_source_sets()]
        assert names
        assert [line.split()[0] for line in result.stdout.splitlines()] == names

    def test_set_show(self) -> None:
        result = invoke("set", "show", "amara")
        assert result.exit_code == 0
        assert "name      amara" in result.stdout
        assert "consent" in result.stdout

    def test_set_show_offers_the_nearest_name(self) -> None:
        result = invoke("set", "show", "amarra")
        assert result.exit_code == errors.SourceSetMissing.exit_code
        assert "Did you mean amara?" in result.stderr

    def test_cameras_without_any(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("engine.capture.list_cameras", list)
        result = invoke("cameras")
        assert result.exit_code == 0
        assert result.stdout == ""
        assert "No camera was found" in result.stderr

    def test_cameras_give_the_id_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from engine.capture.base import CameraInfo

        monkeypatch.setattr("engine.capture.list_cameras", lambda: [CameraInfo("usb-1", "A camera", 1280, 720, 30.0)])
        assert invoke("cameras").stdout == "usb-1  A camera  1280x720  30 fps\n"

    def test_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.metadata.version", lambda _name: "9.9.9")
        assert invoke("--version").stdout == "bunraku 9.9.9\n"

    @pytest.mark.parametrize("failing", [False, True])
    def test_doctor(self, monkeypatch: pytest.MonkeyPatch, failing: bool) -> None:
        import json

        from engine.doctor import Check, Verdict

        verdict = Verdict.FAILED if failing else Verdict.OK
        checks = [Check("python", verdict, "3.11", "Mend it." if failing else "")]
        monkeypatch.setattr("engine.doctor.examine", lambda: checks)
        lines = invoke("doctor")
        assert lines.exit_code == int(failing)
        assert ("fix: Mend it." in lines.stdout) is failing
        parsed = json.loads(invoke("doctor", "--json").stdout)
        assert parsed == [checks[0].as_dict()]


class TestProgress:
    def test_without_a_terminal_a_line_now_and_then(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        now_s = 0.0
        monkeypatch.setattr(console.time, "monotonic", lambda: now_s)
        with console.progress("rendering") as advance:
            for done in range(1, 26):
                now_s = float(done)
                advance(done, 250 if done < 15 else None)
        assert capsys.readouterr().err.splitlines() == ["rendering: 10/250 frames", "rendering: 20 frames"]

    def test_quiet_is_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        with console.progress("rendering", quiet=True) as advance, console.status_line("x", quiet=True) as show:
            advance(1, 2)
            show("y")
        assert capsys.readouterr().err == ""

    def test_a_terminal_gets_a_bar(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")
        with console.progress("rendering") as advance:
            advance(1, 4)
        with console.status_line("starting [0]") as show:
            show("running [1]")
        assert "rendering" in capsys.readouterr().err


class TestMain:
    def test_returns_the_exit_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--help"]) == 0
        assert main(["set", "show", "nobody"]) == errors.SourceSetMissing.exit_code
        assert "There is no source set called nobody" in capsys.readouterr().err

    @pytest.fixture(autouse=True)
    def _keep_signals(self) -> object:
        import signal

        before = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, before)


def test_settings_are_untouched_by_no_options() -> None:
    assert settings_from(settings=None, default_size_wh=(1280, 720)) == LiveSettings()
