# SPDX-License-Identifier: Apache-2.0
"""Small parts that the panels are made of: labelled sliders, collapsible sections, rows. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRect, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QVBoxLayout, QWidget

from desktop.theme import current_theme

__all__ = ["Choice", "ElidedLabel", "Section", "ValueSlider", "button", "card", "label", "restyle"]


class _RoomyLabel(QLabel):
    """Keeps the height that its longest text needs, so that nothing moves when the text changes."""

    def __init__(self, text: str, longest: str) -> None:
        super().__init__(text)
        self._longest = longest
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)

    def heightForWidth(self, width: int) -> int:
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap)
        room = self.fontMetrics().boundingRect(QRect(0, 0, width, 10_000), flags, self._longest).height()
        return max(room, super().heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.fontMetrics().height())


class ElidedLabel(QLabel):
    """One line that ends with … where there is no room for all of it; the tip and screen readers have it all."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._whole = ""

    @property
    def whole(self) -> str:
        """All of it."""
        return self._whole

    def show_text(self, text: str) -> None:
        """Show a text."""
        self._whole = text
        self.setToolTip(text)
        self.setAccessibleDescription(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, self.width()))


def label(text: str = "", role: str = "", *, wraps: bool = False, longest: str = "") -> QLabel:
    """Return a label of a role that the theme knows. longest: text for which a label that wraps keeps room."""
    made = _RoomyLabel(text, longest) if longest else QLabel(text)
    made.setProperty("role", role)
    made.setWordWrap(wraps)
    made.setTextFormat(Qt.TextFormat.PlainText)
    return made


def button(
    text: str, slot: Callable[[], None] | None = None, *, kind: str = "", name: str = "", hint: str = ""
) -> QPushButton:
    """Return a push button. name: for screen readers, where the text alone does not say it."""
    made = QPushButton(text)
    made.setProperty("kind", kind)
    made.setAccessibleName(name or text)
    made.setToolTip(hint)
    made.setAccessibleDescription(hint)
    if slot is not None:
        made.clicked.connect(lambda _checked=False: slot())
    return made


def card(width_px: int) -> tuple[QWidget, QVBoxLayout]:
    """Return the raised sheet of a page, and the layout inside it."""
    made = QWidget()
    made.setObjectName("card")
    made.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    made.setFixedWidth(width_px)
    inside = QVBoxLayout(made)
    inside.setContentsMargins(32, 28, 32, 24)
    inside.setSpacing(10)
    return made, inside


def restyle(widget: QWidget) -> None:
    """Have the stylesheet look at changed properties again."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)


class _CalmSlider(QSlider):
    """A slider that leaves the wheel to the scroll area unless it has the focus."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ValueSlider(QWidget):
    """A name, a value and a slider between two numbers.

    Signals:
        moved(float): the user chose this value.
    """

    moved = Signal(float)
    _STEPS = 200

    def __init__(
        self, name: str, low: float, high: float, *, ends: tuple[str, str] = ("", ""), hint: str = "", unit: str = "%"
    ) -> None:
        super().__init__()
        self._low, self._high, self._unit = low, high, unit
        self._value = label("", "soft")
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.slider = _CalmSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, self._STEPS)
        self.slider.setSingleStep(2)
        self.slider.setPageStep(20)
        self.slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.slider.setAccessibleName(name)
        self.slider.setAccessibleDescription(hint)
        self.setToolTip(hint)
        self.slider.valueChanged.connect(self._moved)
        top = QHBoxLayout()
        top.addWidget(label(name))
        top.addStretch(1)
        top.addWidget(self._value)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.slider)
        if any(ends):
            bottom = QHBoxLayout()
            bottom.addWidget(label(ends[0], "small"))
            bottom.addStretch(1)
            bottom.addWidget(label(ends[1], "small"))
            layout.addLayout(bottom)

    @property
    def value(self) -> float:
        """The value now."""
        return self._low + (self._high - self._low) * self.slider.value() / self._STEPS

    def show_value(self, value: float) -> None:
        """Show a value without telling of it."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(round((value - self._low) / (self._high - self._low) * self._STEPS))
        self._label_value()

    def _moved(self) -> None:
        self._label_value()
        self.moved.emit(round(self.value, 4))

    def _label_value(self) -> None:
        shown = f"{self.value * 100:.0f} %" if self._unit == "%" else f"{self.value:.0f}{self._unit}"
        self._value.setText(shown)


class Choice(QComboBox):
    """A list to choose from, each item with a value.

    Signals:
        chosen(object): the user chose this value.
    """

    chosen = Signal(object)

    def __init__(self, name: str, items: list[tuple[str, object]] | None = None, *, hint: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setAccessibleDescription(hint)
        self.setToolTip(hint)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.set_items(items or [])
        self.activated.connect(lambda index: self.chosen.emit(self.itemData(index)))

    def set_items(self, items: list[tuple[str, object]]) -> None:
        """Replace the list; what was chosen stays chosen where it is still there."""
        before = self.currentData()
        with QSignalBlocker(self):
            self.clear()
            for text, value in items:
                self.addItem(text, value)
        self.show_value(before)

    def show_value(self, value: object) -> bool:
        """Show a value without telling of it; return whether it is in the list."""
        for index in range(self.count()):
            if self.itemData(index) == value:
                with QSignalBlocker(self):
                    self.setCurrentIndex(index)
                return True
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(current_theme().soft), 1.6))
        x, y = self.width() - 17.0, self.height() / 2 - 1
        painter.drawPolyline([QPointF(x - 4, y - 1.5), QPointF(x, y + 2.5), QPointF(x + 4, y - 1.5)])
        painter.end()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class Section(QWidget):
    """A titled card that can be folded.

    Signals:
        toggled(bool): the user opened or folded it.
    """

    toggled = Signal(bool)

    def __init__(self, title: str, body: QWidget, *, is_open: bool = True) -> None:
        super().__init__()
        self.setObjectName("section")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._title, self._body = title, body
        self._head = QPushButton()
        self._head.setObjectName("sectionTitle")
        self._head.clicked.connect(self._toggle)
        body.setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._head)
        layout.addWidget(body)
        self.set_open(is_open)

    @property
    def head(self) -> QPushButton:
        """The title, a button."""
        return self._head

    @property
    def is_open(self) -> bool:
        """Whether the body is shown."""
        return not self._body.isHidden()

    def set_open(self, is_open: bool) -> None:
        """Open or fold it."""
        self._body.setVisible(is_open)
        self._head.setText(f"{'▾' if is_open else '▸'}  {self._title}")
        self._head.setAccessibleName(f"{self._title}, {'open' if is_open else 'folded'}")

    def _toggle(self) -> None:
        self.set_open(not self.is_open)
        self.toggled.emit(self.is_open)
