# SPDX-License-Identifier: Apache-2.0
"""The life of a run: asked for, opening, live, ending, and again where something changed meanwhile. GUI thread.

One session exists at a time. Opening and ending happen on task threads; what the user wants in between is remembered
and done when the camera is free.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from desktop.bridge import Doorbell, Tasks
from desktop.bridge import session as sessions
from desktop.bridge.session import Session, SessionRequest, needs_another_run
from desktop.settings import AppSettings
from engine.config import LiveSettings
from engine.events import Failed, ThreadStuck
from engine.state import Phase, PipelineState

__all__ = ["Run"]


class Run(QObject):
    """Opens, watches and ends sessions.

    Args:
        request: says what a session that begins now would be.

    Signals:
        state(PipelineState): the run's state. opening, ending: a session is being opened, ended. opened(Session): it
        runs. ended: it is gone. failed(BaseException): it never came to life. happened(PipelineEvent): what the engine
        tells. frame(OutputFrame), view(MonitorView): the newest ones.
    """

    state = Signal(object)
    opening = Signal()
    opened = Signal(object)
    ending = Signal()
    ended = Signal()
    happened = Signal(object)
    failed = Signal(object)
    frame = Signal(object)
    view = Signal(object)

    def __init__(self, tasks: Tasks, request: Callable[[], SessionRequest], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks, self._request = tasks, request
        self._frame_bell, self._event_bell, self._view_bell = Doorbell(self), Doorbell(self), Doorbell(self)
        self._frame_bell.answered.connect(self._take_frame)
        self._event_bell.answered.connect(self._take_events)
        self._view_bell.answered.connect(self._take_view)
        self._session: Session | None = None
        self._wanted = self._opening = self._ending = self._restarting = self._closed = False
        self._failure: BaseException | None = None

    @property
    def session(self) -> Session | None:
        """The session that runs, if one does."""
        return self._session

    @property
    def wanted(self) -> bool:
        """Whether a run is on or asked for."""
        return self._wanted

    @property
    def restarting(self) -> bool:
        """Whether another session follows the one that ends."""
        return self._restarting

    def begin(self) -> None:
        """Have a session, as soon as the camera is free."""
        if self._wanted or self._closed:
            return
        self._wanted = True
        if self._ending:
            self._restarting = True
        elif not self._opening:
            self._open()

    def end(self) -> None:
        """Have none."""
        if not self._wanted:
            return
        self._wanted = self._restarting = False
        if self._session is not None:
            self._end_session()
        elif self._opening:
            self.state.emit(PipelineState(Phase.STOPPING))

    def restart(self) -> None:
        """Have another one, for what only another one can use."""
        if self._wanted and self._session is not None:
            self._restarting = True
            self._end_session()

    def close(self, *, wait: Callable[[], None]) -> None:
        """End for good. wait: waits for all tasks; what is still opening is then ended by the usual way."""
        self._closed, self._wanted, self._restarting = True, False, False
        self._end_session()
        wait()
        for bell in (self._frame_bell, self._event_bell, self._view_bell):
            bell.close()

    def follow(self, before: AppSettings, now: AppSettings, live: LiveSettings) -> None:
        """Use other settings: from the next frame on, or in another session where only that can. live: for the thread.

        The first is not done where the second is: another session begins with all of them.
        """
        if needs_another_run(before, now):
            self.restart()
        elif before.live != now.live:
            self.apply(live)

    def apply(self, live: LiveSettings) -> None:
        """Use other live settings from the next frame on."""
        if self._session is not None:
            self._session.pipeline.apply(live)

    def _open(self) -> None:
        self._opening, self._failure = True, None
        self.state.emit(PipelineState(Phase.LOADING))
        self.opening.emit()
        request = self._request()
        self._tasks.run(
            "open",
            lambda: sessions.open_session(
                request,
                on_frame=self._frame_bell.ring,
                on_event=self._event_bell.ring,
                on_monitor=self._view_bell.ring,
            ),
            done=self._opened,
            failed=self._not_opened,
        )

    def _opened(self, session: Session) -> None:
        self._session, self._opening = session, False
        if not self._wanted or needs_another_run(session.request, self._request()):
            self._restarting = self._wanted  # the user changed their mind while the libraries loaded
            self._end_session()
            return
        self.opened.emit(session)
        self._take_events()

    def _not_opened(self, error: BaseException) -> None:
        self._opening = self._wanted = False
        self.state.emit(PipelineState(Phase.FAILED, error=error))
        self.failed.emit(error)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self._ending = True
        self.state.emit(PipelineState(Phase.STOPPING))
        self.ending.emit()
        self._tasks.run("stop", session.stop, done=lambda _: self._ended(session), failed=self._not_opened)

    def _ended(self, session: Session) -> None:
        self._ending = False
        for event in session.pipeline.events():
            if isinstance(event, ThreadStuck):
                self.happened.emit(event)
        self.ended.emit()
        if self._restarting and self._wanted:
            self._restarting = False
            self._open()
        elif self._failure is not None:
            self.state.emit(PipelineState(Phase.FAILED, error=self._failure))
        else:
            self.state.emit(PipelineState())

    def _take_frame(self) -> None:
        if self._session is not None and (frame := self._session.take_frame()) is not None:
            self.frame.emit(frame)

    def _take_view(self) -> None:
        if self._session is not None and (view := self._session.take_view()) is not None:
            self.view.emit(view)

    def _take_events(self) -> None:
        session = self._session
        if session is None:
            return
        for event in session.pipeline.events():
            self.happened.emit(event)
            if isinstance(event, Failed):
                self._wanted, self._failure = False, event.error
                self._end_session()
        if session is self._session:
            self.state.emit(session.pipeline.state)
