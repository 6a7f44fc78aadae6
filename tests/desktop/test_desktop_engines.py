# SPDX-License-Identifier: Apache-2.0
"""GPU engines: built in a process with progress and cancel, while the character runs on what there is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from desktop.bridge import engine_build
from desktop.bridge.engine_build import EngineBuild, EngineStatus, engine_status
from desktop.widgets.input_panel import EnginePanel
from desktop.widgets.main_window import MainWindow
from desktop.words import Tone
from engine.errors import EngineMissing
from engine.runtime.engine_file import list_engines
from engine.state import Phase
from tests.helpers.desktop_scene import WAIT_MS, Scene

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="needs TensorRT for RTX: pip install '.[rtx]'"
)


@pytest.mark.slow
@needs_rtx
def test_an_engine_is_really_built_in_a_process_with_progress(qtbot: QtBot, tmp_path: Path) -> None:
    build, parts = EngineBuild(folder=tmp_path), []
    build.progress.connect(lambda part, words: parts.append((part, words)))
    with qtbot.waitSignal(build.done, timeout=WAIT_MS) as done:
        build.begin("lite", targets=("sm89",))
        assert build.running
        build.begin("lite-512")
        assert build.model == "lite", "one at a time"
    assert done.args == ["lite"]
    assert not build.running
    values = [part for part, _ in parts]
    assert len(values) > 10
    assert values == sorted(values)
    assert any("left" in words for _, words in parts)
    (record,) = list_engines(tmp_path)
    assert record.key is not None
    assert (record.fault, record.key.architectures) == ("", ("sm89",))
    status = engine_status("lite", folder=tmp_path)
    assert status.built
    assert not engine_status("lite-512", folder=tmp_path).built


@pytest.mark.slow
@needs_rtx
@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_build_is_cancelled_and_leaves_nothing(qtbot: QtBot, tmp_path: Path, how: str) -> None:
    build = EngineBuild(folder=tmp_path)
    with qtbot.waitSignal(build.cancelled, timeout=WAIT_MS):
        build.begin("lite", targets=("sm89",))
        getattr(build, how)()
    assert not build.running
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_build_that_fails_says_why(qtbot: QtBot, tmp_path: Path) -> None:
    build = EngineBuild(folder=tmp_path)
    with qtbot.waitSignal(build.failed, timeout=WAIT_MS) as failed:
        build.begin("no-such-model")
    assert "no-such-model" in str(failed.args[0])
    assert not build.running


def test_a_program_that_does_not_start_is_told(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_build.sys, "executable", "/nowhere/python")
    build = EngineBuild()
    with qtbot.waitSignal(build.failed, timeout=WAIT_MS) as failed:
        build.begin("lite")
    assert "does not run" in str(failed.args[0])


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (EngineStatus("", "", False), "pip install"),
        (EngineStatus("tensorrt_rtx", "", False), "No NVIDIA GPU"),
        (EngineStatus("tensorrt_rtx", "sm89", False), "no engine for this GPU (sm89) yet"),
        (EngineStatus("tensorrt_rtx", "sm89", True), "choose tensorrt_rtx"),
    ],
)
def test_what_there_is_is_said(status: EngineStatus, words: str) -> None:
    assert words in status.words


class FakeBuild:
    """Notes what is to be built; the test says when it is done."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[tuple[str, str, tuple[str, ...]]] = []
        self.build = scene.controller.engines.build
        monkeypatch.setattr(self.build, "begin", self.begin)

    def begin(self, model: str, *, flavour: str, targets: tuple[str, ...]) -> None:
        self.begun.append((model, flavour, targets))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[EngineStatus], None]:
    def put(status: EngineStatus) -> None:
        monkeypatch.setattr("desktop.engines.engine_status", lambda _model: status)

    return put


def test_a_missing_engine_is_built_while_the_processor_works(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, gpu: Callable[[EngineStatus], None]
) -> None:
    gpu(EngineStatus("tensorrt_rtx", "sm89", False))
    fake, controller = FakeBuild(scene, monkeypatch), scene.controller
    scene.go_live()
    controller.change(backend="tensorrt_rtx")
    scene.until(lambda: len(scene.requests) == 2 and controller.current.phase is Phase.RUNNING)
    scene.camera.put(EngineMissing("No engine was built.", hint="Run: python build_engines.py"))
    scene.until(lambda: len(scene.requests) == 3 and controller.current.phase is Phase.RUNNING)
    assert [request.backend for request in scene.requests] == ["auto", "tensorrt_rtx", "openvino"]
    assert controller.settings.backend == "tensorrt_rtx", "what the user chose stays chosen"
    said = [notice.text for notice in scene.notices]
    assert any("is being built; the character runs on the processor meanwhile" in text for text in said)
    assert not any("build_engines" in text for text in said), "no command to type"
    scene.until(lambda: fake.begun == [("lite", "tensorrt_rtx", ("sm89",))])
    fake.build.done.emit("lite")
    scene.until(lambda: len(scene.requests) == 4 and controller.current.phase is Phase.RUNNING)
    assert scene.requests[-1].backend == "tensorrt_rtx"
    scene.stop()


def test_a_failed_build_leaves_the_processor_at_work(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, gpu: Callable[[EngineStatus], None]
) -> None:
    gpu(EngineStatus("tensorrt_rtx", "sm89", False))
    fake, controller = FakeBuild(scene, monkeypatch), scene.controller
    controller.change(backend="tensorrt_rtx")
    scene.go_live()
    scene.camera.put(EngineMissing("No engine was built."))
    scene.until(lambda: bool(fake.begun) and controller.current.phase is Phase.RUNNING and len(scene.requests) == 2)
    fake.build.failed.emit(EngineMissing("The build failed."))
    assert "The character goes on" in scene.told
    assert scene.notices[-1].tone is Tone.BAD
    assert controller.current.phase is Phase.RUNNING
    scene.stop()


def test_only_a_gpu_without_engine_is_built_for_at_the_first_run(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, gpu: Callable[[EngineStatus], None]
) -> None:
    fake, engines = FakeBuild(scene, monkeypatch), scene.controller.engines
    here = EngineStatus("tensorrt_rtx", "sm120", False)
    for status in (replace(here, gpu=""), replace(here, built=True), replace(here, flavour="")):
        gpu(status)
        engines.begin(only_here=True)
        scene.until(lambda: not scene.controller.tasks.busy)
    assert fake.begun == []
    gpu(here)
    engines.begin(only_here=True)
    scene.until(lambda: bool(fake.begun))
    assert fake.begun == [("lite", "tensorrt_rtx", ("sm120",))]
    gpu(replace(here, flavour=""))
    engines.begin()
    scene.until(lambda: "pip install" in scene.told)


def test_the_panel_shows_progress_and_cancels(qtbot: QtBot) -> None:
    panel = EnginePanel([("Lite", "lite")], ["auto"])
    qtbot.addWidget(panel)
    panel.show_engine("No NVIDIA GPU was found.", can_build=True)
    with qtbot.waitSignal(panel.build):
        panel.build_button.click()
    panel.show_building(True)
    panel.show_progress(0.25, "about 3 s left")
    assert panel._progress.text() == "25 %, about 3 s left"
    with qtbot.waitSignal(panel.cancel_build):
        panel.build_button.click()
    panel.show_building(False)
    panel.show_engine("Install it.", can_build=False)
    assert panel.build_button.isHidden()


def test_the_first_run_offers_the_build_where_a_gpu_has_no_engine(
    open_window: Callable[..., MainWindow],
    settings_file: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    gpu: Callable[[EngineStatus], None],
) -> None:
    gpu(EngineStatus("tensorrt_rtx", "sm89", False))
    settings_file.unlink()
    window = open_window("--camera", "synthetic", "--set", "amara")
    page = window.first_run
    qtbot.waitUntil(lambda: not page.build.isHidden(), timeout=WAIT_MS)
    begun: list[bool] = []
    monkeypatch.setattr(window.controller.engines, "begin", lambda *, only_here: begun.append(only_here))
    monkeypatch.setattr(window.controller, "start", lambda: begun.append(True))
    for _ in range(2):
        page.next.click()
    page.accept.setChecked(True)
    assert page.build_wanted
    page.next.click()
    assert begun == [True, True]
    page.offer_build(False)
    assert not page.build_wanted
