# SPDX-License-Identifier: Apache-2.0
"""Which character is shown: switching without a dropped frame, and what the keys 1–9 bring back. GUI thread."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from desktop.bridge import Tasks
from desktop.bridge import session as sessions
from desktop.run import Run
from desktop.settings import Profile
from desktop.settings_keeper import SettingsKeeper
from engine.types import SourceSet

__all__ = ["Characters"]


class Characters(QObject):
    """Switches source sets.

    Signals:
        shown(str): this set is on screen. loading(str): this one is being prepared; empty when done.
        failed(BaseException): a set cannot be used; the one before stays. told(str): a word to the user.
    """

    shown = Signal(str)
    loading = Signal(str)
    failed = Signal(object)
    told = Signal(str)

    def __init__(self, run: Run, keeper: SettingsKeeper, tasks: Tasks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._run, self._keeper, self._tasks = run, keeper, tasks
        self._newest = 0

    def select(self, name: str, *, again: bool = False) -> None:
        """Show another character: prepared beside the running one, switched between two frames."""
        before = self._keeper.now.source_set
        if name == before and not again:
            return
        self._keeper.change(source_set=name)
        session = self._run.session
        if session is None:
            return
        self._newest = mine = self._newest + 1
        model = self._keeper.now.model
        self.loading.emit(name)

        def loaded(source_set: SourceSet) -> None:
            if mine == self._newest and session is self._run.session:
                session.pipeline.set_source_set(source_set)

        def failed(error: BaseException) -> None:
            self.failed.emit(error)
            if mine == self._newest:
                self.loading.emit("")
                self._keeper.change(source_set=before)

        self._tasks.run("source set", lambda: sessions.load_set(name, model=model), done=loaded, failed=failed)

    def use_profile(self, key: int, *, names: list[str]) -> None:
        """Bring back what a key holds; a key that holds nothing means the set at that place in the gallery."""
        now = self._keeper.now
        profile = now.profiles.get(key)
        if profile is None:
            profile = Profile(names[key - 1]) if key <= len(names) else None
        if profile is None or profile.source_set not in names:
            self.told.emit(f"Key {key} holds no source set. Ctrl+{key} keeps the present one there.")
            return
        live = now.live
        if profile.motion is not None:
            live = replace(live, motion=profile.motion)
        if profile.background is not None:
            live = replace(live, output=replace(live.output, background=profile.background))
        self._keeper.change(live=live)
        self.select(profile.source_set)

    def keep_profile(self, key: int) -> None:
        """Keep source set, motion and background under a key."""
        now = self._keeper.now
        profile = Profile(now.source_set, now.live.motion, now.live.output.background)
        self._keeper.change(profiles={**now.profiles, key: profile})
        self.told.emit(f"Key {key} now brings back {now.source_set} with this motion and background.")
