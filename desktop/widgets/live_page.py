# SPDX-License-Identifier: Apache-2.0
"""The main page's layout: gallery, picture with its buttons and status, panels. Layout only; `main_window` wires it."""

from __future__ import annotations

import itertools

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QScrollArea, QToolButton, QVBoxLayout, QWidget

from desktop.theme import Theme
from desktop.widgets.gallery import Gallery
from desktop.widgets.input_panel import CameraPanel, EnginePanel
from desktop.widgets.notices import NoticeStack
from desktop.widgets.panels import BackgroundPanel, MotionPanel, OutputPanel
from desktop.widgets.parts import ElidedLabel, Section, label
from desktop.widgets.plots import PlotPane
from desktop.widgets.stage import Stage
from desktop.widgets.status import StateChip, StatusStrip
from desktop.widgets.transport import Transport

__all__ = ["LivePage"]

_GALLERY_PX = 236
_PANELS_PX = 306


class LivePage(QWidget):
    """Everything of a live session on one screen."""

    def __init__(self, models: list[tuple[str, str]], backends: list[str]) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.chip = StateChip()
        self.reason = ElidedLabel("soft")
        self.reason.setAccessibleName("Reason of the state")
        self.theme_button = _tool("Light", "Switch between dark and light (Ctrl+T)")
        self.menu_button = _tool("Menu  ▾", "Settings, diagnostics, help (F10)")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.gallery = Gallery()
        self.stage = Stage()
        self.transport = Transport()
        self.status = StatusStrip()
        self.notices = NoticeStack(self.stage)
        self.camera = CameraPanel()
        self.engine = EnginePanel(models, backends)
        self.motion = MotionPanel()
        self.background = BackgroundPanel()
        self.output = OutputPanel()
        self.plots: PlotPane | None = None
        self._plot_holder = QWidget()
        QVBoxLayout(self._plot_holder).setContentsMargins(0, 0, 0, 0)
        self.sections = {
            "camera": Section("Camera", self.camera),
            "motion": Section("Motion", self.motion),
            "background": Section("Background", self.background),
            "output": Section("Output", self.output, is_open=False),
            "engine": Section("Model", self.engine, is_open=False),
            "plots": Section("Plots", self._plot_holder, is_open=False),
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 12)
        layout.setSpacing(10)
        layout.addLayout(self._head())
        middle = QHBoxLayout()
        middle.setSpacing(12)
        middle.addLayout(self._left())
        middle.addLayout(self._centre(), 1)
        middle.addWidget(self._right())
        layout.addLayout(middle, 1)
        self._order_tabs()

    def open_plots(self, theme: Theme) -> None:
        """Make the plots when they are first seen: their library takes a moment to load."""
        if self.plots is None:
            self.plots = PlotPane(theme)
            holder = self._plot_holder.layout()
            assert holder is not None
            holder.addWidget(self.plots)

    def add_below_gallery(self, widget: QWidget) -> None:
        """Put something under the gallery; the tab key comes to it after the gallery."""
        self._below_gallery.addWidget(widget)
        reached = [each for each in widget.findChildren(QAbstractButton) if each.focusPolicy()]
        for first, second in itertools.pairwise([self.gallery, *reached, self.transport.start_button]):
            QWidget.setTabOrder(first, second)

    def add_panel(self, name: str, title: str, panel: QWidget) -> Section:
        """Put one more panel, folded, under the others; the tab key comes to it after them."""
        section = self.sections[name] = Section(title, panel, is_open=False)
        self._panels.insertWidget(self._panels.count() - 1, section)
        reached = [section.head, *(each for each in panel.findChildren(QAbstractButton) if each.focusPolicy())]
        for first, second in itertools.pairwise([self.engine.backend, *reached, self.theme_button]):
            QWidget.setTabOrder(first, second)
        return section

    def show_theme(self, theme: Theme) -> None:
        """Hand another theme to what paints itself."""
        self.chip.show_theme(theme)
        self.status.show_theme(theme)
        self.notices.show_theme(theme)
        if self.plots is not None:
            self.plots.show_theme(theme)
        other = "Light" if theme.name == "dark" else "Dark"
        self.theme_button.setText(other)
        self.theme_button.setAccessibleName(f"{other} theme")

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(label("Bunraku", "title"))
        row.addWidget(self.chip)
        row.addWidget(self.reason, 1)
        row.addWidget(self.theme_button)
        row.addWidget(self.menu_button)
        return row

    def _left(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.gallery.setFixedWidth(_GALLERY_PX)
        column.setSpacing(8)
        column.addWidget(self.gallery, 1)
        self._below_gallery = column
        return column

    def _centre(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addWidget(self.stage, 1)
        column.addWidget(self.transport)
        column.addWidget(self.status)
        column.addWidget(self.sections["plots"])
        return column

    def _right(self) -> QScrollArea:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(8)
        for name in ("camera", "motion", "background", "output", "engine"):
            column.addWidget(self.sections[name])
        column.addStretch(1)
        self._panels = column
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFixedWidth(_PANELS_PX)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setAccessibleName("Panels")
        return area

    def _order_tabs(self) -> None:
        """Gallery, buttons, panels, then the head: the order of use."""
        transport, camera, engine = self.transport, self.camera, self.engine
        order: list[QWidget] = [
            self.gallery, transport.start_button, transport.vcam_button, transport.record_button,
            transport.snapshot_button, transport.calibrate_button, transport.panic_button,
            self.sections["plots"].head, self.sections["camera"].head, camera.choice, camera.person, camera.switch,
            self.sections["motion"].head, *(each.slider for each in self.motion.sliders.values()), self.motion.mirror,
            self.sections["background"].head, self.background.kind, self.background.colour, self.background.picture,
            self.sections["output"].head, self.output.size_choice, self.output.rate, self.output.corner,
            self.output.style_choice, self.output.microphone, self.output.folder_button, self.output.device,
            self.output.help_button,
            self.sections["engine"].head, engine.model, engine.backend, engine.build_button,
            self.theme_button, self.menu_button,
        ]  # fmt: skip
        for first, second in itertools.pairwise(order):
            QWidget.setTabOrder(first, second)


def _tool(text: str, hint: str) -> QToolButton:
    made = QToolButton()
    made.setText(text)
    made.setToolTip(hint)
    made.setAccessibleName(text.split("  ")[0])
    made.setAccessibleDescription(hint)
    made.setProperty("kind", "flat")
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return made
