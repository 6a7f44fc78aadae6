# SPDX-License-Identifier: Apache-2.0
"""Whose face it is and by whose leave: the note without which a character does not go to the virtual camera."""

from __future__ import annotations

import datetime

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from desktop.bridge.studio_views import Consent, parse_until
from desktop.widgets.parts import Choice, label

__all__ = ["ConsentForm", "consent_words"]

_KINDS: list[tuple[str, object]] = [
    ("Please choose…", ""),
    ("This is me", "mine"),
    ("A person who agreed", "consented"),
    ("Made by a computer", "synthetic"),
    ("Licensed pictures", "licensed"),
]
_FIELDS = {
    "who": ("Who is it?", "Name of the person"),
    "how": ("How did they agree?", "For example: by e-mail, in writing"),
    "until": ("Until when?", "2027-01-31, or: withdrawn (no end)"),
    "source": ("Where do the pictures come from?", "Program, site or author"),
    "licence": ("Under which licence?", "For example: CC0, CC BY 4.0, own work"),
}
_ASKED = {
    "": (),
    "mine": (),
    "consented": ("who", "how", "until"),
    "synthetic": ("source", "licence"),
    "licensed": ("source", "licence"),
}
_SAID = {"kind": "whose face it is", "who": "who it is", "how": "how they agreed", "until": "until when"}


def consent_words(lacks: tuple[str, ...]) -> str:
    """Say what a note that lacks these means; empty for a complete one."""
    if not lacks:
        return ""
    missing = " and ".join(_SAID.get(name, f"the {name}") for name in lacks)
    return f"Say {missing} before this character can go to the virtual camera. It can be saved and tried out without."


class ConsentForm(QWidget):
    """One choice and what it asks for.

    Signals:
        changed(Consent): the note is this now.
    """

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._note = Consent()
        self.kind = Choice("Whose face is it?", _KINDS)
        self.kind.chosen.connect(self._choose)
        self.fields: dict[str, QLineEdit] = {}
        self._rows: dict[str, QWidget] = {}
        self.verdict = label("", "small", wraps=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(label("Whose face is it?", "soft"))
        layout.addWidget(self.kind)
        for name, (title, example) in _FIELDS.items():
            field = QLineEdit()
            field.setAccessibleName(title)
            field.setPlaceholderText(example)
            field.setMaxLength(200)
            field.editingFinished.connect(self._edited)
            row = QWidget()
            inside = QVBoxLayout(row)
            inside.setContentsMargins(0, 0, 0, 0)
            inside.setSpacing(4)
            inside.addWidget(label(title, "soft"))
            inside.addWidget(field)
            layout.addWidget(row)
            self.fields[name], self._rows[name] = field, row
        layout.addWidget(self.verdict)
        self.show_note(Consent(), ("kind",))

    def show_note(self, note: Consent, lacks: tuple[str, ...]) -> None:
        """Show a note. lacks: what it needs and does not say."""
        self._note = note
        self.kind.show_value(note.kind)
        for name, field in self.fields.items():
            self._rows[name].setVisible(name in _ASKED.get(note.kind, ()))
            if not field.hasFocus() or field.text() != getattr(note, name):
                field.setText(getattr(note, name))
        self.verdict.setText(consent_words(lacks) or "This character may go to the virtual camera.")
        self.verdict.setAccessibleName(self.verdict.text())

    def _choose(self, kind: object) -> None:
        asked = _ASKED[str(kind)]
        kept = {name: getattr(self._note, name) for name in asked}
        self.changed.emit(Consent(kind=str(kind), **kept))

    def _edited(self) -> None:
        note = self._note
        texts = {name: self.fields[name].text().strip() for name in _ASKED.get(note.kind, ())}
        if (until := texts.get("until", "")) and not _is_day(until):
            self.verdict.setText(f"A day is written 2027-01-31; or write: withdrawn. Got: {until}")
            return
        when = note.when
        if note.kind == "consented" and not when and texts["who"]:
            when = datetime.date.today().isoformat()
        made = Consent(kind=note.kind, when=when if note.kind == "consented" else "", scope=note.scope, **texts)
        if made != note:
            self.changed.emit(made)


def _is_day(text: str) -> bool:
    try:
        parse_until(text)
    except ValueError:
        return False
    return True
