# SPDX-License-Identifier: Apache-2.0
"""Drafts: every operation gives a new value; saving is whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.consent import Consent
from engine.errors import DiskFull, OutputUnwritable, SourceSetExists, SourceSetInvalid, SourceSetMissing
from engine.sets.draft import DraftHistory, SetDraft, open_draft, set_name, tidy_name
from engine.sets.make import new_draft
from engine.sets.save import save_draft
from engine.sources.manifest import Crop, PictureEntry, SetManifest, dump_manifest
from engine.sources.manifest_reader import parse_manifest
from tests.helpers.source_faces import picture_bytes, portrait_rgb


def make_draft(count: int = 3) -> SetDraft:
    pictures = [
        (PictureEntry(f"p{i}.png", notes=f"note {i}"), picture_bytes(portrait_rgb((96, 96), seed=i)))
        for i in range(count)
    ]
    return new_draft("mara", title="Mara").with_pictures(pictures).with_consent(Consent("mine"))


def test_operations_leave_the_old_draft_alone() -> None:
    old = make_draft()
    before = dump_manifest(old.manifest), dict(old.files)
    changed = [
        old.switched("p1", False),
        old.cropped("p1.png", Crop(0.5, 0.4, 0.8)),
        old.annotated("p0", "other"),
        old.moved("p2", 0),
        old.without("p1"),
        old.described(title="Other", name="other"),
        old.with_consent(Consent("synthetic", source="s", licence="l")),
        old.with_colour_match(True),
        old.with_pictures([(PictureEntry("p9.png"), b"x")]),
    ]
    assert (dump_manifest(old.manifest), dict(old.files)) == before
    assert all(dump_manifest(draft.manifest) != before[0] for draft in changed)
    assert [e.file for e in changed[3].entries] == ["p2.png", "p0.png", "p1.png"]
    assert changed[3].manifest.keeps_order
    assert not changed[3].ordered_automatically().manifest.keeps_order
    assert set(changed[4].files) == {"p0.png", "p2.png"}


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(SourceSetInvalid, match=r"no picture p7: expected one of p0\.png, p1\.png, p2\.png"):
        make_draft().switched("p7", False)


def test_added_names_never_collide_in_their_stem() -> None:
    draft = make_draft(1).with_pictures([(PictureEntry("p0.jpg"), b"a"), (PictureEntry("p0.png"), b"b")])
    assert [e.file for e in draft.entries] == ["p0.png", "p0_2.jpg", "p0_3.png"]


def test_undo_and_redo() -> None:
    history = DraftHistory(make_draft())
    first = history.draft
    second = history.do(first.switched("p0", False))
    third = history.do(second.without("p1"))
    assert history.undo() is second
    assert history.undo() is first
    assert history.undo() is first
    assert not history.can_undo
    assert history.redo() is second
    assert history.redo() is third
    history.undo()
    history.do(second.with_colour_match(True))
    assert not history.can_redo


def test_a_saved_set_reads_back_the_same(tmp_path: Path) -> None:
    draft = make_draft().cropped("p1", Crop(0.25, 0.5, 0.75)).switched("p2", False).with_colour_match(True)
    folder = save_draft(draft, tmp_path / "sets" / "mara.bunraku")
    back = open_draft(folder)
    assert back.manifest == draft.manifest
    assert dict(back.files) == dict(draft.files)
    assert sorted(p.name for p in (tmp_path / "sets").iterdir()) == ["mara.bunraku"]


def test_saving_over_a_set_must_be_said_and_keeps_foreign_folders(tmp_path: Path) -> None:
    folder = save_draft(make_draft(), tmp_path / "mara.bunraku")
    (folder / "scans").mkdir()
    (folder / "scans" / "raw.txt").write_text("mine")
    with pytest.raises(SourceSetExists, match="already"):
        save_draft(make_draft(1), folder)
    save_draft(make_draft(1), folder, replace=True)
    assert sorted(p.name for p in folder.iterdir()) == ["p0.png", "scans", "set.toml"]
    assert (folder / "scans" / "raw.txt").read_text() == "mine"


def test_an_empty_draft_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(SourceSetInvalid, match="no picture to save"):
        save_draft(new_draft("mara"), tmp_path / "mara.bunraku")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "expected"), [(28, DiskFull), (13, OutputUnwritable)])
def test_a_failure_changes_nothing(
    number: int, expected: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_draft(make_draft(), tmp_path / "mara.bunraku")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    real, calls = os.replace, []

    def failing(source: object, target: object) -> None:
        calls.append(target)
        if len(calls) == 2:  # the new folder into the old one's place
            raise OSError(number, "no")
        real(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr("engine.sets.save.os.replace", failing)
    with pytest.raises(expected):
        save_draft(make_draft(1), folder, replace=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["mara.bunraku"]


def test_a_listed_picture_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = save_draft(make_draft(), tmp_path / "mara.bunraku")
    (folder / "p1.png").unlink()
    with pytest.raises(SourceSetMissing, match=r"p1\.png"):
        open_draft(folder)


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "con", "a" * 65, "ä", ".a", "a/b"])
def test_names_that_cannot_be_a_folder_everywhere_are_refused(name: str) -> None:
    with pytest.raises(SourceSetInvalid, match="cannot be called"):
        set_name(name)
    assert set_name(tidy_name(name))


def test_a_manifest_survives_the_file() -> None:
    manifest = SetManifest(
        "mara",
        (PictureEntry("a.png", False, 'with "quotes" and \\', Crop(0.1, 0.9, 1.5)), PictureEntry("b.jpg")),
        title="Mära",
        author="A",
        licence="MIT",
        origin="o",
        consent=Consent("consented", who="W", how="h", when="2026-01-31", until="withdrawn", scope="s"),
        keeps_order=True,
        colour_match=True,
    )
    assert parse_manifest(dump_manifest(manifest), label="x", default_name="d") == manifest
