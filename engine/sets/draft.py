# SPDX-License-Identifier: Apache-2.0
"""A source set being made or edited: an immutable value whose operations return new values. Any thread.

Undo is keeping the old value (`DraftHistory` does); nothing touches the disk before `engine.sets.save.save_draft`
writes the whole set in one step. Pictures are held as the bytes of their files, shared between all versions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from engine.consent import Consent
from engine.errors import SourceSetInvalid, SourceSetMissing
from engine.sources.guides import GuidePoints
from engine.sources.manifest import Crop, PictureEntry, SetManifest, dump_manifest
from engine.sources.picture import unreadable
from engine.sources.source_set import read_manifest
from engine.sources.store import SET_FILE, open_store

__all__ = ["DraftHistory", "DraftStore", "SetDraft", "open_draft", "set_name", "tidy_name"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True, slots=True, eq=False)
class SetDraft:
    """A source set in memory.

    manifest: what set.toml will say. files: file name → bytes of every picture it lists. extras: other files that
    travel with the set (its cache). Operations raise `SourceSetInvalid` for a picture that is not there.
    """

    manifest: SetManifest
    files: Mapping[str, bytes] = field(default_factory=dict)
    extras: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the set is called."""
        return self.manifest.name

    @property
    def consent(self) -> Consent:
        """Its note, as `engine.consent.require_consent` wants it."""
        return self.manifest.note

    @property
    def entries(self) -> tuple[PictureEntry, ...]:
        """Its pictures, in their order."""
        return self.manifest.pictures

    def entry(self, file: str) -> PictureEntry:
        """Return one picture's entry."""
        for entry in self.entries:
            if entry.file == file or PurePosixPath(entry.file).stem == file:
                return entry
        known = ", ".join(entry.file for entry in self.entries) or "none"
        what = f"Source set {self.name} has no picture {file}: expected one of {known}."
        raise SourceSetInvalid(what, hint="See: bunraku set show NAME", name=file)

    def with_pictures(self, pictures: Sequence[tuple[PictureEntry, bytes]]) -> SetDraft:
        """Add pictures at the end; a name that is taken gets a number."""
        entries, files = list(self.entries), dict(self.files)
        for entry, data in pictures:
            file = _free_name(entry.file, files)
            entries.append(replace(entry, file=file))
            files[file] = data
        return replace(self, manifest=replace(self.manifest, pictures=tuple(entries)), files=files)

    def without(self, file: str) -> SetDraft:
        """Remove a picture and what was cached for it."""
        gone = self.entry(file).file
        stem = PurePosixPath(gone).stem
        return replace(
            self,
            manifest=replace(self.manifest, pictures=tuple(e for e in self.entries if e.file != gone)),
            files={name: data for name, data in self.files.items() if name != gone},
            extras={n: d for n, d in self.extras.items() if PurePosixPath(n).name.split(".")[0] != stem},
        )

    def switched(self, file: str, enabled: bool) -> SetDraft:
        """Switch a picture on or off."""
        return self._changed(file, enabled=enabled)

    def cropped(self, file: str, crop: Crop | None) -> SetDraft:
        """Set a picture's portrait box by hand, or let the engine choose it again."""
        return self._changed(file, crop=crop)

    def guided(self, file: str, guides: GuidePoints | None) -> SetDraft:
        """Place a picture's landmarks by hand, or let the tracker look again."""
        return self._changed(file, guides=guides)

    def annotated(self, file: str, notes: str) -> SetDraft:
        """Say something about a picture."""
        return self._changed(file, notes=notes)

    def moved(self, file: str, place: int) -> SetDraft:
        """Put a picture at another place, and keep the order from now on: the first picture is the reference."""
        entry = self.entry(file)
        rest = [other for other in self.entries if other is not entry]
        rest.insert(max(0, min(place, len(rest))), entry)
        return replace(self, manifest=replace(self.manifest, pictures=tuple(rest), keeps_order=True))

    def ordered_automatically(self) -> SetDraft:
        """Let the engine choose the reference and the order again."""
        return replace(self, manifest=replace(self.manifest, keeps_order=False))

    def described(self, **texts: str) -> SetDraft:
        """Change name, title, author, licence or origin."""
        if "name" in texts:
            set_name(texts["name"])
        return replace(self, manifest=replace(self.manifest, **texts))  # type: ignore[arg-type]

    def with_consent(self, consent: Consent) -> SetDraft:
        """Say by whose leave the pictures are used."""
        return replace(self, manifest=replace(self.manifest, consent=consent))

    def with_colour_match(self, wanted: bool) -> SetDraft:
        """Take every picture's light to that of the reference, or leave it."""
        return replace(self, manifest=replace(self.manifest, colour_match=wanted))

    def store(self) -> DraftStore:
        """Return the draft as the loader reads sets: `engine.sources.source_set.read_contents(draft.store())`."""
        return DraftStore(self)

    def _changed(self, file: str, **values: object) -> SetDraft:
        wanted = self.entry(file)
        entries = tuple(replace(e, **values) if e is wanted else e for e in self.entries)  # type: ignore[arg-type]
        return replace(self, manifest=replace(self.manifest, pictures=entries))


class DraftStore:
    """A draft's files, read like those of a set on disk (`engine.sources.store.SetStore`)."""

    def __init__(self, draft: SetDraft) -> None:
        self._files = {**draft.extras, **draft.files, SET_FILE: dump_manifest(draft.manifest)}
        self.path = Path(f"{draft.name}.bunraku")
        self.default_name = draft.name

    def names(self) -> Sequence[str]:
        """Return the names of all files, sorted."""
        return sorted(self._files)

    def label(self, name: str) -> str:
        """Return what to call a file in messages."""
        return f"{self.path}/{name}"

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        if name not in self._files:
            raise unreadable(self.label(name), "does not exist in the draft", "Check the name.")
        return self._files[name]

    def close(self) -> None:
        """Nothing is held open."""


class DraftHistory:
    """Undo and redo over drafts."""

    def __init__(self, draft: SetDraft) -> None:
        self._past, self._future = [draft], list[SetDraft]()

    @property
    def draft(self) -> SetDraft:
        """The present version."""
        return self._past[-1]

    @property
    def can_undo(self) -> bool:
        """Whether there is an older version."""
        return len(self._past) > 1

    @property
    def can_redo(self) -> bool:
        """Whether a step was undone."""
        return bool(self._future)

    def do(self, draft: SetDraft) -> SetDraft:
        """Go on from this version; what was undone is forgotten."""
        self._past.append(draft)
        self._future.clear()
        return draft

    def undo(self) -> SetDraft:
        """Go back one step, where there is one."""
        if self.can_undo:
            self._future.append(self._past.pop())
        return self.draft

    def redo(self) -> SetDraft:
        """Take back the last undo, where there is one."""
        if self._future:
            self._past.append(self._future.pop())
        return self.draft


def open_draft(path: Path) -> SetDraft:
    """Read a set from disk for editing: a folder or a zip of one, or a folder of pictures.

    Raises:
        SourceSetMissing, SourceSetInvalid, SourceUnreadable: it cannot be read, or a listed picture is not there.
    """
    with closing(open_store(path)) as store:
        manifest = read_manifest(store)
        names = set(store.names())
        missing = [entry.file for entry in manifest.pictures if entry.file not in names]
        if missing:
            what = f"Source set {manifest.name} lists pictures that are not there: {', '.join(missing)}."
            raise SourceSetMissing(what, hint=f"Copy them back or correct {SET_FILE}. ({path})", path=str(path))
        files = {entry.file: store.read(entry.file) for entry in manifest.pictures}
        has_manifest = SET_FILE in names
        others = sorted(names - set(files) - {SET_FILE}) if has_manifest else []
        extras = {name: store.read(name) for name in others}
    return SetDraft(manifest, files, extras)


def set_name(text: str) -> str:
    """Return a set's name if it can be one: it becomes a folder's name on every system, and an option's value.

    Raises:
        SourceSetInvalid: it cannot.
    """
    if not _NAME.fullmatch(text) or text in _RESERVED:
        what = (
            f"A source set cannot be called {text[:80]!r}: expected 1 to 64 of a-z, 0-9, _ and -, got something else."
        )
        raise SourceSetInvalid(
            what, hint=f"Call it {tidy_name(text)} and give it a title with --title.", name=text[:80]
        )
    return text


def tidy_name(text: str, *, fallback: str = "set") -> str:
    """Return the nearest name that can be a set's or a picture's."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:48].rstrip("_")
    return plain if plain and plain not in _RESERVED else fallback


def _free_name(file: str, taken: Mapping[str, bytes]) -> str:
    """Return a name whose stem no other picture has: the cache goes by stems."""
    stems = {PurePosixPath(name).stem for name in taken}
    pure = PurePosixPath(file)
    stem, number = pure.stem, 2
    while stem in stems:
        stem, number = f"{pure.stem}_{number}", number + 1
    return f"{stem}{pure.suffix}"
