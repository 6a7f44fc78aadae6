# SPDX-License-Identifier: Apache-2.0
"""The capture coach: looks at the live track, asks for what the set lacks, takes each picture when it is right.

What is missing is also taken when it comes unasked, so a person who just moves about gets a set too.

Pure logic over tracks: whoever owns the camera calls `look` with every frame's facts and, when told to take one, keeps
that frame's pixels. A pose is taken at its height: once it is reached the coach holds on for a moment and takes the
sharpest, calmest frame of that moment, not the first. One thread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.clock import NS_PER_S
from engine.sets.coverage import TARGETS, Target, map_coverage
from engine.sets.frames import FrameFacts
from engine.sets.poses import Face, Neutral, neutral_of
from engine.sets.quality import BLURRED

__all__ = ["Advice", "CaptureCoach", "Taken", "frames_held_ns"]

_HOLD_NS = 350_000_000  # how long a pose is held before it is taken
_SHUT_NS = 150_000_000  # … with the eyes closed: nobody sees the prompt any more
_STILL = 0.5  # face heights a second; above, a webcam's frame is smeared
_CENTRE_OFF, _TALL = 0.32, (0.18, 0.75)  # of the face in the picture: too far to a side, too small, too close
_HINT_NS = 6_000_000_000  # after so long without success another target gets its turn


@dataclass(frozen=True, slots=True)
class Advice:
    """What to show the person. text: one sentence. target: the key of what is asked for, empty when all is there.

    progress: how near the present face is, in [0, 1]. hold: the pose is reached, stay. take: keep the frame with this
    number, it shows the target; None while nothing is to be taken.
    """

    text: str
    target: str
    progress: float
    hold: bool = False
    take: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """One picture that was taken. number: the frame's. key: what it shows."""

    number: int
    key: str
    face: Face


class CaptureCoach:
    """Leads one person through the poses that a set lacks.

    Args:
        have: the faces of pictures that are in the draft already; their targets are not asked for.
        wanted: keys of targets to ask for, all by default; see `engine.sets.coverage.TARGETS`.

    State: `look` any number of times; `done` when nothing is asked for any more. `skip` leaves a target out, `retake`
    asks for it again.
    """

    def __init__(self, have: Sequence[Face] = (), *, wanted: Sequence[str] | None = None) -> None:
        self._targets = [t for t in TARGETS if wanted is None or t.key in wanted]
        self._have = list(have)
        self._taken: list[Taken] = []
        self._skipped: set[str] = set()
        self._again: set[str] = set()
        self._neutral: Neutral | None = neutral_of(self._have) if self._have else None
        self._held: list[FrameFacts] = []
        self._holding: Target | None = None
        self._since_ns: int | None = None
        self._deferred: list[str] = []

    @property
    def taken(self) -> tuple[Taken, ...]:
        """What was taken so far, in order."""
        return tuple(self._taken)

    @property
    def missing(self) -> tuple[Target, ...]:
        """What is still asked for, the next first."""
        faces = [*self._have, *(one.face for one in self._taken if one.key not in self._again)]
        if not faces:
            return tuple(t for t in self._targets if t.key not in self._skipped)
        shown = map_coverage(faces, neutral=self._neutral).shown
        lacking = [
            t for t in self._targets if t.key not in self._skipped and (not shown[t.key] or t.key in self._again)
        ]
        lacking = [t for t in lacking if t.key in self._again or t.key not in {one.key for one in self._taken}]
        # The front comes first: all else is measured from it. What was tried in vain waits at the end.
        return tuple(sorted(lacking, key=lambda t: (t.key != "front", t.key in self._deferred, -t.weight)))

    @property
    def done(self) -> bool:
        """Whether nothing is asked for any more."""
        return not self.missing

    def skip(self, key: str) -> None:
        """Do not ask for a target any more."""
        self._skipped.add(key)
        self._begin()

    def retake(self, key: str) -> None:
        """Ask for a target again, though it was taken."""
        self._taken = [one for one in self._taken if one.key != key]
        self._skipped.discard(key)
        self._again.add(key)
        self._begin()

    def look(self, facts: FrameFacts | None, *, size_wh: tuple[int, int], now_ns: int) -> Advice:
        """Look at one frame.

        Args:
            facts: of `engine.sets.frames.read_facts`; None where no face was found. size_wh: of the frame.
            now_ns: its time; times must not run backwards.
        """
        missing = self.missing
        if not missing:
            return Advice("All poses are there.", "", 1.0)
        target = missing[0]
        if self._since_ns is None:
            self._since_ns = now_ns
        elif now_ns - self._since_ns > _HINT_NS and len(missing) > 1 and target.key not in ("front", *self._deferred):
            self._deferred.append(target.key)
            self._begin()
            missing = self.missing
            target = missing[0]
        if facts is None:
            self._held.clear()
            return Advice("No face is seen: come into the picture.", target.key, 0.0)
        if (place := _misplaced(facts, size_wh)) is not None:
            self._held.clear()
            return Advice(place, target.key, 0.0)
        neutral = self._neutral or Neutral(
            facts.face.pitch_deg, facts.face.mouth_width, facts.face.eyes, facts.face.brows
        )
        held = self._shown(missing, facts.face, neutral)
        if held is None or (self._held and held is not self._holding):
            if self._held:
                return self._finish(self._holding or target)  # the moment has passed; what was held may do
            return Advice(f"{target.ask}.", target.key, _nearness(target.key, facts.face, neutral))
        self._holding = target = held
        if facts.speed > _STILL or facts.blur > BLURRED:
            if self._held:
                return self._finish(target)
            reason = "hold still" if facts.speed > _STILL else "more light, or come closer: the picture is blurred"
            return Advice(f"Good, now {reason}.", target.key, 0.9)
        self._held.append(facts)
        wait_ns = _SHUT_NS if target.key == "eyes_closed" else _HOLD_NS
        if facts.captured_ns - self._held[0].captured_ns >= wait_ns:
            return self._take(target)
        return Advice("Good, hold it.", target.key, 0.95, hold=True)

    def _shown(self, missing: Sequence[Target], face: Face, neutral: Neutral) -> Target | None:
        """Return what a face shows: what is asked for, or something else that is missing, if it shows that alone."""
        shown = [target for target in missing if target.shown(face, neutral)]
        if missing[0] in shown:
            return missing[0]
        return shown[0] if len(shown) == 1 and missing[0].key != "front" else None

    def _finish(self, target: Target) -> Advice:
        """Take what was held if it was held for half the time, or begin again."""
        wait_ns = (_SHUT_NS if target.key == "eyes_closed" else _HOLD_NS) // 2
        if self._held[-1].captured_ns - self._held[0].captured_ns >= wait_ns:
            return self._take(target)
        self._held.clear()
        asked = self.missing[0]
        return Advice(f"{asked.ask}{', and hold it' if asked is target else ''}.", asked.key, 0.8)

    def _take(self, target: Target) -> Advice:
        best = min(self._held, key=lambda facts: (round(facts.blur, 2), facts.speed))
        self._taken.append(Taken(best.number, target.key, best.face))
        self._again.discard(target.key)
        if target.key == "front" or self._neutral is None:
            self._neutral = neutral_of([best.face])
        self._begin()
        left = len(self.missing)
        text = f"Taken. {left} more." if left else "Taken. All poses are there."
        return Advice(text, target.key, 1.0, take=best.number)

    def _begin(self) -> None:
        self._held.clear()
        self._since_ns = None


def _misplaced(facts: FrameFacts, size_wh: tuple[int, int]) -> str | None:
    """Say how to sit where the face is cut off, too small or too far to a side."""
    points = facts.landmarks_px[:, :2]
    low, high = points.min(0), points.max(0)
    share = float(high[1] - low[1]) / size_wh[1]
    if not facts.inside or share > _TALL[1]:
        return "Move back a little: the whole face must be in the picture."
    if share < _TALL[0]:
        return "Come closer: the face is too small."
    if abs(float(low[0] + high[0]) / 2 / size_wh[0] - 0.5) > _CENTRE_OFF:
        return "Move to the middle of the picture."
    return None


def _nearness(key: str, face: Face, neutral: Neutral) -> float:
    """Return how near a face is to a target, in [0, 1): for a bar that grows as one approaches."""
    pitch = face.pitch_deg - neutral.pitch_deg
    measures: Mapping[str, float] = {
        "front": 1.0 - max(abs(face.yaw_deg) / 45.0, abs(pitch) / 30.0, 2.0 * face.mouth),
        "mouth_open": face.mouth / 0.25,
        "eyes_closed": 1.0 - (face.eyes - 0.1) / max(neutral.eyes - 0.1, 0.02),
        "left": -face.yaw_deg / 20.0,
        "right": face.yaw_deg / 20.0,
        "smile": (face.mouth_width / max(neutral.mouth_width, 1e-6) - 1.0) / 0.12,
        "up": pitch / 9.0,
        "down": -pitch / 9.0,
        "brows_up": (face.brows - neutral.brows) / 0.06,
    }
    value = measures.get(key, 0.0)
    return min(max(value, 0.0), 0.89) if math.isfinite(value) else 0.0


def frames_held_ns() -> int:
    """Return how long the owner of the camera must keep frames: a taken one may lie so far back."""
    return _HOLD_NS + NS_PER_S // 2
