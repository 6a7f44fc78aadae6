# SPDX-License-Identifier: Apache-2.0
"""By whose leave a source set's pictures are used, and the one gate that asks for it. Layer 0, any thread.

A note says one of four things: the pictures show *me*; they show somebody who *consented* (who, how, until when);
they are *synthetic*; or they are *licensed* (source, licence). `require_consent` stands in front of every virtual
camera: without a complete note that is still valid, a character is not shown to others as if it were a person.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from engine.errors import ConsentMissing

__all__ = [
    "CONSENT_KINDS",
    "NO_NOTE",
    "UNTIL_WITHDRAWN",
    "Consent",
    "Noted",
    "notes_of_all",
    "parse_until",
    "recording_notes",
    "require_consent",
]

CONSENT_KINDS = ("mine", "consented", "synthetic", "licensed")
UNTIL_WITHDRAWN = "withdrawn"  # instead of a date: until the person takes it back

_NEEDED = {
    "mine": (),
    "consented": ("who", "how", "until"),
    "synthetic": ("source", "licence"),
    "licensed": ("source", "licence"),
}
_LONGEST_NOTE = 400  # characters about one set in a recording's metadata


@dataclass(frozen=True, slots=True)
class Consent:
    """A set's note; kind is empty where the set does not say.

    kind: one of `CONSENT_KINDS`. who: the person shown. how: how they agreed. when: the day they did. until: the last
    day it holds, as 2027-01-31, or `UNTIL_WITHDRAWN`. scope: to what. source, licence: where pictures of nobody come
    from, and under which licence.
    """

    kind: str = ""
    who: str = ""
    when: str = ""
    scope: str = ""
    how: str = ""
    until: str = ""
    source: str = ""
    licence: str = ""

    def describe(self) -> str:
        """Return one line, e.g. `consented: A. Person, by e-mail, 2026-01-31, until 2027-01-31, streaming`."""
        until = f"until {self.until}" if self.until else ""
        parts = (self.who, self.how, self.when, until, self.scope, self.source, self.licence)
        details = ", ".join(part for part in parts if part)
        return f"{self.kind}: {details}" if self.kind and details else self.kind or "not stated"

    def missing(self) -> tuple[str, ...]:
        """Return the names of what a complete note of this kind lacks; `kind` where there is none."""
        if self.kind not in _NEEDED:
            return ("kind",)
        return tuple(name for name in _NEEDED[self.kind] if not getattr(self, name))

    def expired(self, today: datetime.date) -> bool:
        """Whether the last day it holds has passed."""
        last = parse_until(self.until)
        return last is not None and today > last


NO_NOTE = Consent()


class Noted(Protocol):
    """Whatever carries a note: a loaded `SourceSet` or what is known of one (`SourceSetInfo`)."""

    @property
    def name(self) -> str:
        """What the set is called."""
        ...

    @property
    def consent(self) -> Consent:
        """Its note."""
        ...


def parse_until(text: str) -> datetime.date | None:
    """Return the last day of a consent, or None where it has none.

    Raises:
        ValueError: neither a date such as 2027-01-31, nor `UNTIL_WITHDRAWN`, nor empty.
    """
    return None if text in ("", UNTIL_WITHDRAWN) else datetime.date.fromisoformat(text)


def require_consent(source_set: Noted, now: datetime.datetime) -> None:
    """Let a set pass to a virtual camera, or say what its note lacks.

    Args:
        now: the present moment; its date counts, in its own time zone.
    Raises:
        ConsentMissing: there is no note, it is incomplete, or it has expired; `fields["reason"]` is "none",
            "incomplete" or "expired".
    """
    note, name = source_set.consent, source_set.name
    lacking = note.missing()
    if lacking == ("kind",):
        raise _refused(
            f"Source set {name} does not say by whose leave its pictures are used, "
            "so it cannot go to the virtual camera",
            f"Say it once: bunraku set edit {name} --consent mine (or consented, synthetic, licensed).",
            name,
            "none",
        )
    if lacking:
        options = " ".join(f"--{part} …" for part in lacking)
        raise _refused(
            f"The consent note of source set {name} is incomplete, so it cannot go to the virtual camera: "
            f"{note.kind} needs {', '.join(_NEEDED[note.kind])}, got no {', no '.join(lacking)}",
            f"Add it: bunraku set edit {name} {options}.",
            name,
            "incomplete",
        )
    try:
        expired = note.expired(now.date())
    except ValueError:
        expired = True  # a note made in code; a file with such a date is refused when it is read
    if expired:
        raise _refused(
            f"The consent for source set {name} ended on {note.until}, so it cannot go to the virtual camera",
            f"Ask {note.who or 'the person shown'} again, then: bunraku set edit {name} --until DATE.",
            name,
            "expired",
        )


def recording_notes(source_set: Noted) -> Mapping[str, str]:
    """Return what a recording's metadata says of the character: MP4 keys → text."""
    return notes_of_all({source_set.name: source_set.consent.describe()})


def notes_of_all(shown: Mapping[str, str]) -> Mapping[str, str]:
    """Return what a recording's metadata says of all characters that it shows: MP4 keys → text.

    Args:
        shown: name → what `Consent.describe` says, at least one, in the order in which they appeared.
    """
    if len(shown) == 1:
        [(name, note)] = shown.items()
        return {
            "description": f"Character: {name}"[:_LONGEST_NOTE],
            "copyright": f"Consent: {note}"[:_LONGEST_NOTE],
        }
    notes = "; ".join(f"{name} – {note}"[:_LONGEST_NOTE] for name, note in shown.items())
    names = ", ".join(name[:_LONGEST_NOTE] for name in shown)
    return {"description": f"Characters: {names}", "copyright": f"Consent: {notes}"}


def _refused(what: str, hint: str, name: str, reason: str) -> ConsentMissing:
    return ConsentMissing(f"{what}.", hint=hint, name=name, reason=reason)
