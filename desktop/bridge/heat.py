# SPDX-License-Identifier: Apache-2.0
"""The heat map of the running character: which picture each pixel comes from, and the pictures' colours. GUI thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage

from desktop.bridge.doorbell import Doorbell
from desktop.bridge.session import Session
from desktop.bridge.studio_views import image_of
from engine.errors import InvalidSetting
from engine.types import SourceSet
from engine.warp.heat import PALETTE

if TYPE_CHECKING:
    from engine.renderer import Renderer

__all__ = ["HeatMap", "SourceColour"]

_THUMB_PX = 96


@dataclass(frozen=True, slots=True, eq=False)
class SourceColour:
    """One picture of the character. colour: in the heat map, as #rrggbb. image: the picture, small."""

    name: str
    colour: str
    image: QImage


class HeatMap(QObject):
    """Switches the heat map.

    Signals:
        shown(list[SourceColour]): the pictures of the character that is shown, in the set's order; empty while none is.
        failed(BaseException): the model cannot tell.
    """

    shown = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bell = Doorbell(self)
        self._bell.answered.connect(self._take)
        self._session: Session | None = None
        self._wanted = False
        self._found: SourceSet | None = None
        self._refused: InvalidSetting | None = None
        self._told_for: SourceSet | None = None

    @property
    def wanted(self) -> bool:
        """Whether it is switched on."""
        return self._wanted

    def follow(self, session: Session | None) -> None:
        """Use this run from now on."""
        self._session, self._told_for = session, None
        if session is None:
            self.shown.emit([])
        else:
            self.apply()

    def switch(self, wanted: bool) -> None:
        """Show where pixels come from, or the character as it is, from the next frame on."""
        self._wanted = wanted
        self.apply()

    def apply(self) -> None:
        """Tell the run what is wanted, and ask it which pictures it has; again after each change of the character."""
        if self._session is None:
            return
        wanted = self._wanted

        def command(renderer: Renderer) -> None:
            try:
                renderer.show_sources(wanted)
            except InvalidSetting as error:
                self._refused = error
            self._found = renderer.source_set
            self._bell.ring()

        self._session.pipeline.command(command)

    def close(self) -> None:
        """End for good."""
        self._session = None
        self._bell.close()

    def _take(self) -> None:
        source_set, refused = self._found, self._refused
        if self._session is None:
            return
        if refused is not None:
            self._wanted, self._refused = False, None
            self.failed.emit(refused)
        if source_set is None or source_set is self._told_for:
            return
        self._told_for = source_set
        smooth, kept = Qt.TransformationMode.SmoothTransformation, Qt.AspectRatioMode.KeepAspectRatio
        self.shown.emit(
            [
                SourceColour(
                    image.name,
                    "#{:02x}{:02x}{:02x}".format(*PALETTE[number % len(PALETTE)]),
                    image_of(image.rgb).scaled(_THUMB_PX, _THUMB_PX, kept, smooth),
                )
                for number, image in enumerate(source_set.images)
            ]
        )
