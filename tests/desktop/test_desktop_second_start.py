# SPDX-License-Identifier: Apache-2.0
"""The app started twice: one window, which comes to the front; a killed one is in nobody's way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from desktop import app as apps
from desktop.bridge import instance as instances
from desktop.bridge.instance import AlreadyRunning, claim
from desktop.second_start import bring_to_front, say_running

ROOT = Path(__file__).resolve().parents[2]
DEAF = """
import sys
from pathlib import Path
from desktop.bridge.instance import claim
held = claim(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
SECOND = """
import sys
from pathlib import Path
from desktop.second_start import only_one, say_running
sys.exit(say_running(only_one(Path(sys.argv[1]))))
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setattr(instances, "user_cache_path", lambda *_a, **_k: tmp_path / "cache" / "bunraku")


@pytest.fixture
def deaf(settings_file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the settings and never looks up."""
    with subprocess.Popen(
        [sys.executable, "-c", DEAF, str(settings_file)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other
        other.kill()


def test_the_second_start_brings_the_first_window_to_the_front_and_ends(qtbot: QtBot, settings_file: Path) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    window.showMinimized()
    rung: list[bool] = []

    def ring() -> None:
        bring_to_front(window)
        rung.append(True)

    first = claim(settings_file)
    first.on_ring(ring)
    with subprocess.Popen(
        [sys.executable, "-c", SECOND, str(settings_file)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as second:
        qtbot.waitUntil(lambda: second.poll() is not None, timeout=60_000)
        assert second.stderr is not None
        assert second.stderr.read() == "Bunraku is already running; its window was brought to the front.\n"
        assert second.returncode == 0
    assert rung == [True]
    assert not window.isMinimized()
    first.close()
    claim(settings_file).close()


def test_one_that_does_not_answer_is_named(deaf: subprocess.Popen[str], settings_file: Path) -> None:
    with pytest.raises(AlreadyRunning) as caught:
        claim(settings_file, answer_s=0.1)
    assert str(caught.value) == (
        f"Bunraku is already running (process {deaf.pid}) and does not answer. End it, then start again."
    )
    deaf.kill()
    deaf.wait()
    claim(settings_file).close()


def test_the_app_itself_opens_no_second_window(
    qapp: object,
    deaf: subprocess.Popen[str],
    settings_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: shown.append(box.text()))
    monkeypatch.setattr(instances, "_ANSWER_S", 0.1)
    monkeypatch.setattr(apps, "QApplication", lambda _argv: qapp)
    monkeypatch.setattr(apps, "make_window", lambda _options: pytest.fail("a second window"))
    assert apps.main(["--settings", str(settings_file)]) == 1
    assert f"(process {deaf.pid})" in capsys.readouterr().err
    assert len(shown) == 1


def test_other_settings_are_another_app(settings_file: Path, tmp_path: Path) -> None:
    first, other = claim(settings_file), claim(tmp_path / "other.json")
    with pytest.raises(AlreadyRunning):
        claim(settings_file.parent / "." / settings_file.name, answer_s=0.0)
    first.close()
    other.close()


def test_without_a_place_for_the_lock_the_app_starts_all_the_same(
    settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(instances, "user_cache_path", lambda *_a, **_k: tmp_path / "file")
    held = claim(settings_file)
    held.on_ring(lambda: None)
    held.close()


def test_what_is_said_ends_with_0_where_the_window_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert say_running(AlreadyRunning(7, answered=True)) == 0
    assert "brought to the front" in capsys.readouterr().err
