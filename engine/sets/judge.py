# SPDX-License-Identifier: Apache-2.0
"""A draft → what it covers, what is missing, and what is wrong with which picture. Any one thread; cancellable.

Everything is told in plain sentences beside the figures; nothing is changed. With a warper every picture is also
rebuilt from the others (`leave_one_out`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from engine.consent import require_consent
from engine.errors import ConsentMissing, SourceError
from engine.sets.coverage import CoverageMap, map_coverage
from engine.sets.draft import SetDraft
from engine.sets.leave_one_out import Rebuilt, leave_one_out
from engine.sets.person import SAME_PERSON_BELOW, compare_person, likeness_of
from engine.sets.poses import describe_pose, read_face
from engine.sets.quality import BLURRED, blur_of, near_duplicates
from engine.sets.report import Issue, SetReport, Verdict
from engine.sources.analysis import AnalysedPicture
from engine.sources.base import SourceAnalyser
from engine.sources.colour_match import light_distance, skin_tone
from engine.sources.manifest import PictureEntry
from engine.sources.source_set import SetContents, analyse_entry, assemble, rest_guides
from engine.types import MAX_SOURCES, SourceSet
from engine.warp.warper import Warper

__all__ = ["analyse_draft", "judge_draft", "load_draft"]

Advance = Callable[[int, int | None], None]

_OTHER_LIGHT = 14.0  # L*a*b* units between two skins that the eye sees at once
_REDUNDANT_DB, _LOST_DB = 33.0, 19.0  # faces rebuilt so well say nothing new; so badly, the others do not know them
_SMALL_FACE_PX = 110.0  # landmark height below which a 256 px portrait is enlarged


def analyse_draft(
    draft: SetDraft,
    analyser: SourceAnalyser,
    *,
    advance: Advance = lambda _done, _total: None,
    cache_dir: Path | None = None,
) -> dict[str, AnalysedPicture | SourceError]:
    """Read and analyse every picture of a draft, enabled or not; one that cannot be used is given as its error."""
    store, found = draft.store(), dict[str, AnalysedPicture | SourceError]()
    rest = rest_guides([entry for entry in draft.entries if entry.enabled])
    for done, entry in enumerate(draft.entries):
        advance(done, len(draft.entries))
        try:
            found[entry.file] = analyse_entry(entry, store, analyser=analyser, cache_dir=cache_dir, rest=rest)
        except SourceError as error:
            found[entry.file] = error
    advance(len(draft.entries), len(draft.entries))
    return found


def load_draft(
    draft: SetDraft, analysed: Mapping[str, AnalysedPicture | SourceError], *, side_px: int = 256
) -> tuple[SourceSet, tuple[str, ...]] | None:
    """Return the set as the engine would load it from what was analysed, and the file behind each of its images.

    None where no enabled picture can be used.
    """
    files, entries, pictures = list[str](), list[PictureEntry](), list[AnalysedPicture]()
    for entry in draft.entries:
        picture = analysed[entry.file]
        if entry.enabled and isinstance(picture, AnalysedPicture) and len(entries) < MAX_SOURCES:
            entries.append(replace(entry, file=str(len(files))))  # names that tell even front.png from front.jpg
            files.append(entry.file)
            pictures.append(picture)
    if not entries:
        return None
    loaded = assemble(SetContents(draft.manifest, tuple(entries), tuple(pictures)), side_px=side_px)
    order = tuple(files[int(image.name)] for image in loaded.images)
    images = tuple(
        replace(image, name=PurePosixPath(file).stem) for image, file in zip(loaded.images, order, strict=True)
    )
    return replace(loaded, images=images), order


def judge_draft(
    draft: SetDraft,
    analyser: SourceAnalyser,
    *,
    warper: Warper | None = None,
    now: datetime.datetime | None = None,
    advance: Advance = lambda _done, _total: None,
    cache_dir: Path | None = None,
) -> SetReport:
    """Judge a draft.

    Args:
        warper: rebuilds each picture from the others; without one, that is left out.
        now: the moment for which the consent is checked. advance: called with (steps done, steps in all); what it
            raises ends the work.
    """
    count = len(draft.entries)
    steps = count * (2 if warper is not None else 1)
    analysed = analyse_draft(draft, analyser, advance=lambda done, _: advance(done, steps), cache_dir=cache_dir)
    side_px = warper.side_px if warper is not None else 256
    loaded = load_draft(draft, analysed, side_px=side_px)
    verdicts = {entry.file: _first_look(entry.file, entry.enabled, analysed[entry.file]) for entry in draft.entries}
    for entry in [e for e in draft.entries if e.enabled][MAX_SOURCES:]:
        much = Issue("too_many", f"A set takes {MAX_SOURCES} pictures: switch this one or another off.")
        verdicts[entry.file] = replace(verdicts[entry.file], issues=(*verdicts[entry.file].issues, much))
    coverage: CoverageMap | None = None
    source_set: SourceSet | None = None
    covered: tuple[str, ...] = ()
    if loaded is not None:
        source_set, covered = loaded
        coverage = _compare(source_set, covered, verdicts)
        if warper is not None:
            rebuilt = leave_one_out(source_set, warper, advance=lambda done, _: advance(count + done, steps))
            for file, one in zip(covered, rebuilt, strict=False):
                verdicts[file] = replace(_with_rebuilt(verdicts[file], one), rebuilt=one)
    advance(steps, steps)
    problem = ""
    try:
        require_consent(draft, now or datetime.datetime.now())  # the user's own calendar day
    except ConsentMissing as error:
        problem = str(error)
    ordered = tuple(verdicts[entry.file] for entry in draft.entries)
    return SetReport(
        draft.name,
        ordered,
        covered,
        coverage,
        tuple(_advice(ordered, coverage, problem)),
        draft.consent.describe(),
        problem,
        source_set,
    )


def _first_look(file: str, enabled: bool, picture: AnalysedPicture | SourceError) -> Verdict:
    """What can be said of a picture by itself."""
    if isinstance(picture, SourceError):
        return Verdict(file, enabled, issues=(Issue(type(picture).__name__, str(picture)),))
    issues = []
    face = read_face(picture.landmarks_px)
    blur = blur_of(picture.picture.rgb, picture.landmarks_px)
    height = float(np.ptp(picture.landmarks_px[:, 1]))
    if height < _SMALL_FACE_PX:
        issues.append(
            Issue("small", f"The face is {height:.0f} px tall: below {_SMALL_FACE_PX:.0f} it is enlarged and soft.")
        )
    elif blur > BLURRED:
        issues.append(
            Issue(
                "blurred", f"The face is blurred ({blur:.2f}, sharp is below {BLURRED}): replace it or switch it off."
            )
        )
    return Verdict(file, enabled, issues=tuple(issues), blur=blur, face=face)


def _compare(source_set: SourceSet, covered: tuple[str, ...], verdicts: dict[str, Verdict]) -> CoverageMap:
    """What can be said of the pictures together; adds it to their verdicts."""
    faces = [read_face(image.keypoints) for image in source_set.images]
    coverage = map_coverage(faces)
    people = [likeness_of(image) for image in source_set.images]
    tones = [skin_tone(image) for image in source_set.images]
    more: dict[str, list[Issue]] = {file: [] for file in covered}
    for first, second in near_duplicates(source_set.images):
        more[covered[second]].append(
            Issue("duplicate", f"It shows the same as {covered[first]}: switch one of the two off.")
        )
    for index, file in enumerate(covered):
        person = compare_person(people, index)
        if person.total > SAME_PERSON_BELOW and not source_set.drawn:  # measured on faces a tracker finds
            more[file].append(
                Issue(
                    "other_person",
                    f"It looks like somebody else ({person.total:.2f}, of it {person.colours:.2f} by colours of skin "
                    f"and hair; one person stays below {SAME_PERSON_BELOW:g}): does it show another person, or the "
                    "same one through another lens, in other light or with a hat?",
                )
            )
        if light_distance(tones[0], tones[index]) > _OTHER_LIGHT:
            more[file].append(Issue("light", f"It is lit differently than {covered[0]}: try the set's colour match."))
        words = tuple(describe_pose(faces[index], coverage.neutral))
        old = verdicts[file]
        verdicts[file] = replace(
            old,
            words=words,
            issues=(*old.issues, *more[file]),
            person=person.total,
            portrait=source_set.images[index].rgb,
        )
    return coverage


def _with_rebuilt(verdict: Verdict, one: Rebuilt) -> Verdict:
    figure = f"{one.psnr_face_db:.1f} dB on the face"
    if one.psnr_face_db >= _REDUNDANT_DB:
        note = Issue("redundant", f"The others rebuild it almost exactly ({figure}): the set loses little without it.")
    elif one.psnr_face_db < _LOST_DB:
        note = Issue(
            "lost", f"The others cannot rebuild it ({figure}): it shows what no other does, or does not belong here."
        )
    else:
        return verdict
    return replace(verdict, issues=(*verdict.issues, note))


def _advice(verdicts: tuple[Verdict, ...], coverage: CoverageMap | None, consent_problem: str) -> list[str]:
    advice = [consent_problem] if consent_problem else []
    if coverage is None:
        return [*advice, "No picture can be used yet: add one that shows the whole face from the front."]
    for hole in sorted(coverage.holes, key=lambda hole: -hole.weight):
        advice.append(f"There is {hole.sentence}. To mend it: {hole.ask[0].lower()}{hole.ask[1:]}.")
    for verdict in verdicts:
        if verdict.enabled:
            hints = [issue for issue in verdict.issues if issue.key not in ("redundant", "lost")]
            advice += [f"{verdict.file}: {issue.sentence}" for issue in hints]
    return advice
