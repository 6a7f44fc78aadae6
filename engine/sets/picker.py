# SPDX-License-Identifier: Apache-2.0
"""Which frames of a video make the best set, and why each was picked. Pure, any thread; a tenth of a second.

1. Frames that can be a picture: the whole face inside, sharp, no fast motion, eyes not half-way through a blink.
2. The first picks are farthest-first over head pose and expression from the calmest front view; each then moves to the
   frame from which the rest of the video is nearest (k-medoids). Farthest-first alone picks the oddest moments: on
   sixteen development clips it was 0.4 to 0.7 dB worse at N = 4.
3. Further picks fill the holes of the coverage map that the video can fill: a blink is rare, and every set needs one.

Source:
    Gonzalez 1985, TCS 38, 293-306 (farthest-first); Kaufman, Rousseeuw 1987, "Clustering by means of medoids".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import NoFaceInDriver
from engine.headpose import describe_head, expression_weights
from engine.landmarks import BROWS, EYES, IRISES, LIPS
from engine.sets import poses
from engine.sets.coverage import TARGETS, map_coverage
from engine.sets.frames import FrameFacts
from engine.sets.poses import Face, Neutral, calmest, describe_pose, neutral_of
from engine.sets.quality import BLURRED

__all__ = ["MOST_PICKS", "Pick", "face_distances", "pick_frames"]

MOST_PICKS = 8
_CARRYING = 4  # picks that stand for the whole video; what is asked for beyond fills holes first
_SOFTER = 0.05  # `blur_of` above the clip's own middle that still passes
_FAST = 2.0  # face heights a second: a frame of 1/60 s is then smeared over 3 % of the face; slower smears show as blur
_HALF_SHUT = 0.78  # of the resting lid gap
_NEAR = 0.12  # share of the mean distance within which frames show the same, so that the sharpest of them serves
_WORTH = 0.03  # a further pick must bring the video nearer by this share, or there are enough

# The shipped model's own measure of how well one picture serves another pose (`engine.warp.selection`).
_EXPRESSIVE = np.array(sorted({*LIPS, *EYES, *BROWS, *IRISES}))
_POSE, _SHIFT, _EXPRESSION = 27.0, 40.0, 32.0


@dataclass(frozen=True, slots=True)
class Pick:
    """One picked frame. place: in the facts given. number: of the frame in the video. name: for its file.

    why: one sentence. share: of the video's frames, those to which no other pick is nearer.
    """

    place: int
    number: int
    name: str
    why: str
    share: float


def pick_frames(facts: Sequence[FrameFacts], *, count: int = MOST_PICKS, least: int = _CARRYING) -> list[Pick]:
    """Pick the most useful frames, the reference first.

    Args:
        count: how many at most. least: so many are picked even where the later ones add little.
    Raises:
        NoFaceInDriver: no frame shows a whole face.
    """
    usable = _usable(facts)
    if not usable:
        what = f"No frame of the video can be a picture: the face is cut off in all {len(facts)} frames that show one."
        raise NoFaceInDriver(what, hint="Record it again with the whole head in view.")
    faces = [fact.face for fact in facts]
    neutral = neutral_of([faces[i] for i in usable])
    distance = face_distances([fact.landmarks_px for fact in facts])
    calm = usable[calmest([faces[i] for i in usable])]
    carrying = min(count, _CARRYING, len(usable))
    seeds = [calm, *_spread(distance, [calm], count=carrying - 1, among=usable)]
    picks = [_sharpest(pick, facts, usable, distance) for pick in _medoids(distance, seeds, usable)]
    roles = dict.fromkeys(picks, "")
    for key, place in _fillers(faces, neutral, facts, usable, picks):
        if len(roles) >= count:
            break
        roles.setdefault(place, key)
    for place in _spread(distance, list(roles), count=count, among=usable):
        if len(roles) >= count or (len(roles) >= least and _gain(distance, list(roles), place) < _WORTH):
            break
        roles.setdefault(_sharpest(place, facts, usable, distance), "")
    return _explain(list(roles), roles, facts, neutral, distance)


def face_distances(landmarks_px: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return how far apart frames of one video are, (T, T): half landmarks in the picture, half pose and expression.

    The first half is what moves pixels, hair and shoulders included; the second what makes a picture fit.
    """
    points = np.stack(landmarks_px).astype(np.float64)
    unit = float(np.median(np.ptp(points[..., 1], axis=1)))
    placed = (points / unit).reshape(len(points), -1)
    heads = [describe_head((p / unit).astype(np.float32)) for p in points]
    weight = np.sqrt(_EXPRESSION * expression_weights()[_EXPRESSIVE] / len(_EXPRESSIVE))[:, None]
    fitting = np.stack(
        [
            np.concatenate(
                [
                    head.pose * _POSE**0.5,
                    head.origin / head.scale * _SHIFT**0.5,
                    (head.deform[_EXPRESSIVE] * weight).ravel(),
                ]
            )
            for head in heads
        ]
    )
    squared = np.zeros((len(points), len(points)))
    for features in (placed, fitting):
        gap = _squared_distances(features)
        squared += gap / max(float(gap.mean()), 1e-12)
    return np.asarray(np.sqrt(squared))


def _squared_distances(features: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = features - features.mean(0)
    own = (centred**2).sum(1)
    return np.asarray(np.maximum(own[:, None] + own[None] - 2 * centred @ centred.T, 0.0))


def _usable(facts: Sequence[FrameFacts]) -> list[int]:
    """Return the frames that can be a picture; demands are dropped one by one where nearly none meets them."""
    whole = [i for i, fact in enumerate(facts) if fact.inside]
    if not whole:
        return []
    blur = np.array([facts[i].blur for i in whole])
    sharp = {i for i in whole if facts[i].blur <= float(np.median(blur)) + _SOFTER}
    clear = {i for i in whole if facts[i].blur <= BLURRED}
    calm = {i for i in whole if facts[i].speed <= _FAST}
    neutral = neutral_of([facts[i].face for i in whole])
    lids = {i for i in whole if not _half_shut(facts[i].face, neutral)}
    alone = {i for i in whole if facts[i].face_count == 1}
    enough = min(3 * MOST_PICKS, -(-len(whole) // 3))
    for demand in (sharp & clear & calm & lids & alone, sharp & calm & lids, sharp & calm, sharp):
        if len(demand) >= enough:
            return sorted(demand)
    return whole


def _half_shut(face: Face, neutral: Neutral) -> bool:
    level = face.pitch_deg - neutral.pitch_deg > -poses.TILTED_DEG  # a lowered gaze lowers the lids
    return level and face.eyes < _HALF_SHUT * neutral.eyes and not poses.eyes_shut(face, neutral)


def _spread(distance: NDArray[np.float64], start: Sequence[int], *, count: int, among: Sequence[int]) -> list[int]:
    """Return up to `count` further frames of `among`, each farthest from all before it, beginning from `start`."""
    candidates = np.array(among)
    nearest = distance[candidates][:, list(start)].min(1)
    picked: list[int] = []
    while len(picked) < count:
        best = int(nearest.argmax())
        if nearest[best] <= 0:
            break
        picked.append(int(candidates[best]))
        nearest = np.minimum(nearest, distance[candidates, candidates[best]])
    return picked


def _medoids(distance: NDArray[np.float64], seeds: Sequence[int], usable: Sequence[int]) -> list[int]:
    """Move each pick to where the whole video is nearest to its picks, until nothing improves."""
    picks, among = list(seeds), np.array(usable)
    cost = float(distance[:, picks].min(1).mean())
    for _ in range(20):
        before = cost
        for slot in range(len(picks)):
            others = [pick for place, pick in enumerate(picks) if place != slot]
            rest = distance[:, others].min(1) if others else np.full(len(distance), np.inf)
            costs = np.minimum(rest[:, None], distance[:, among]).mean(0)
            best = int(costs.argmin())
            if costs[best] < cost - 1e-9:
                picks[slot], cost = int(among[best]), float(costs[best])
        if cost >= before - 1e-9:
            break
    return picks


def _sharpest(pick: int, facts: Sequence[FrameFacts], usable: Sequence[int], distance: NDArray[np.float64]) -> int:
    """Return the sharpest of the frames that show the same."""
    near = _NEAR * float(distance.mean())
    same = [i for i in usable if distance[pick, i] <= near] or [pick]
    return min(same, key=lambda i: (round(facts[i].blur, 2), distance[pick, i]))


def _fillers(
    faces: Sequence[Face],
    neutral: Neutral,
    facts: Sequence[FrameFacts],
    usable: Sequence[int],
    picks: Sequence[int],
) -> list[tuple[str, int]]:
    """Return (target, frame) for what the picks lack and the video has, what matters most first."""
    holes = {hole.key for hole in map_coverage([faces[i] for i in picks], neutral=neutral).holes}
    # A blink is never calm by the clip's measure: for it, any sharp whole frame will do.
    wide = [i for i, fact in enumerate(facts) if fact.inside and fact.blur <= BLURRED]
    found = []
    for target in sorted(TARGETS, key=lambda t: -t.weight):
        if target.key not in holes:
            continue
        showing = [i for i in usable if target.shown(faces[i], neutral)]
        showing = showing or [i for i in wide if target.shown(faces[i], neutral)]
        if showing:
            found.append((target.key, max(showing, key=lambda i: _clarity(target.key, faces[i], neutral, facts[i]))))
    return found


def _clarity(key: str, face: Face, neutral: Neutral, fact: FrameFacts) -> float:
    """How clearly a frame shows a target: the expression at its height, little else, and sharp."""
    height = {
        "front": -20 * face.mouth,
        "mouth_open": 4 * face.mouth,
        "eyes_closed": -12 * face.eyes,
        "left": -face.yaw_deg / 30,
        "right": face.yaw_deg / 30,
        "smile": 6 * (face.mouth_width / neutral.mouth_width - 1),
        "up": (face.pitch_deg - neutral.pitch_deg) / 20,
        "down": (neutral.pitch_deg - face.pitch_deg) / 20,
        "brows_up": 10 * (face.brows - neutral.brows),
    }[key]
    turned = 0.0 if key in ("left", "right") else abs(face.yaw_deg) / 40
    return height - turned - 4 * fact.blur - 0.3 * min(fact.speed, 3.0)


def _gain(distance: NDArray[np.float64], picks: list[int], extra: int) -> float:
    """Return by which share of the mean distance one more pick brings the video nearer."""
    now = distance[:, picks].min(1)
    return float((now - np.minimum(now, distance[:, extra])).mean() / max(float(distance.mean()), 1e-12))


def _explain(
    picks: list[int],
    roles: dict[int, str],
    facts: Sequence[FrameFacts],
    neutral: Neutral,
    distance: NDArray[np.float64],
) -> list[Pick]:
    first = picks[calmest([facts[i].face for i in picks])]
    picks = [first, *_spread(distance, [first], count=len(picks) - 1, among=picks)]
    owner = distance[:, picks].argmin(1)
    explained, taken = list[Pick](), dict[str, int]()
    for place, pick in enumerate(picks):
        fact = facts[pick]
        words = describe_pose(fact.face, neutral)
        share = float((owner == place).mean())
        parts = [", ".join(words)]
        if place == 0:
            parts.append("the calmest front view, which the others are measured from")
        elif roles[pick]:
            parts.append("the clearest of its kind, which the other pictures lack")
        if share >= 0.02:
            parts.append(f"nearest to {share:.0%} of the video")
        still = f", {fact.speed:.1f} face heights/s" if np.isfinite(fact.speed) else ""
        parts.append(f"sharp (blur {fact.blur:.2f}{still})" if fact.blur <= BLURRED else f"soft (blur {fact.blur:.2f})")
        name = "_".join(words[:2] if words[0] == "front" else words[: 1 if words[-1] == "neutral" else 2])
        name = "".join(c if c.isalnum() else "_" for c in name.replace("°", "")).strip("_")
        taken[name] = taken.get(name, 0) + 1
        name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        explained.append(Pick(pick, fact.number, name, "; ".join(parts), share))
    return explained
