# SPDX-License-Identifier: Apache-2.0
"""The consent note: what is complete, when it ends, and the one gate that asks for it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import pytest

from engine.consent import Consent, recording_notes, require_consent
from engine.errors import ConsentMissing
from engine.sources import list_source_sets

_NOW = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.timezone.utc)


@dataclass(frozen=True)
class Noted:
    consent: Consent
    name: str = "mara"


@pytest.mark.parametrize(
    "note",
    [
        Consent("mine"),
        Consent("consented", who="B. Person", how="a signed form", until="2027-01-31"),
        Consent("consented", who="B. Person", how="by e-mail", until="2026-11-25"),  # the last day counts
        Consent("consented", who="B. Person", how="by e-mail", until="withdrawn"),
        Consent("synthetic", source="drawn by hand", licence="MIT"),
        Consent("licensed", source="a museum", licence="CC0-1.0"),
    ],
    ids=Consent.describe,
)
def test_complete_notes_pass(note: Consent) -> None:
    require_consent(Noted(note), _NOW)


@pytest.mark.parametrize(
    ("note", "reason", "words"),
    [
        (Consent(), "none", "does not say by whose leave"),
        (Consent("something"), "none", "does not say by whose leave"),
        (Consent("consented", who="B. Person"), "incomplete", "got no how, no until"),
        (Consent("consented", who="B", how="form", until="2026-11-24"), "expired", "ended on 2026-11-24"),
        (Consent("synthetic"), "incomplete", "synthetic needs source, licence, got no source, no licence"),
        (Consent("licensed", source="a museum"), "incomplete", "got no licence"),
    ],
)
def test_others_do_not(note: Consent, reason: str, words: str) -> None:
    with pytest.raises(ConsentMissing, match=words) as caught:
        require_consent(Noted(note), _NOW)
    assert caught.value.fields["reason"] == reason
    assert "virtual camera" in caught.value.message
    assert "bunraku set edit mara" in caught.value.hint


def test_every_built_in_set_may_be_shown() -> None:
    infos = [info for info in list_source_sets() if info.builtin]
    assert infos
    for info in infos:
        require_consent(info, _NOW)


def test_recordings_say_whom_they_show_and_by_whose_leave() -> None:
    notes = recording_notes(Noted(Consent("consented", who="B. Person", how="a form", until="2027-01-31")))
    assert notes["description"] == "Character: mara"
    assert notes["copyright"] == "Consent: consented: B. Person, a form, until 2027-01-31"
    assert len(recording_notes(Noted(Consent("mine", scope="x" * 5000)))["copyright"]) <= 400
