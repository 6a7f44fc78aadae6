# SPDX-License-Identifier: Apache-2.0
"""What stands behind the person: every picture's background, completed. Pure, any thread, once a set.

What one picture hides another shows: pictures that share a background (`engine.warp.registration`) are laid over each
other, and at every place the colour that most of them agree on, and that lies farthest from a person, is taken. Where
all agree with the picture's own, their mean has less noise than any of them. What none shows is spanned by a membrane
that meets the known colours at the hole's border (Laplace's equation with Dirichlet values, as in Perez, Gangnet,
Blake 2003, "Poisson image editing", ACM TOG 22(3), without a guide).

Mattes end a little too early: wisps of hair and the soft edge stay outside, and would stand in the background as an
outline when the head moves. So the rim around the person is guessed like the hole, and a pixel there is background
only if it is about what the guess says. How good guesses are is measured just outside the rim. The others are the
person's (`claim_rims`), in so far as the colour there is a mixture of the person's and the background's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.warp.registration import BackgroundView, Float, furthest, laid_over, register_backgrounds

__all__ = ["claim_rims", "make_backdrops", "span_holes"]

_RIM_SHARE = 8 / 256  # of the side: so far out lie wisps of hair that a matte leaves out
_EDGE_SHARE = 3 / 256  # of the side: background this far from the person is probably clean
_SURELY = 2.7  # … in units of it: surely
_CLEAR = 0.03  # alpha below this shows pure background
_NEARLY_CLEAR = 0.1  # alpha below this shows nothing but background worth keeping
_ALIKE = 4.0  # difference, 0-255, up to which two colours are one, beside what noise adds
_NOISES = 3.0  # … in units of that noise
_GUESS_ERRORS = 2.5  # errors of the guess just outside, up to which a rim's pixel is background
_TRACE = 0.8  # … by how much less, where the colour leans towards the person's
_SURE_ALPHA = 0.9  # the person's own colour
_MOST_CLAIMED = 0.95
_FRINGE_LEAST, _FRINGE = 0.12, 128.0  # a fringe's alpha: at least, and the difference, 0-255, that would make it solid
_COARSEST_PX, _COARSE_STEPS, _STEPS = 12, 120, 10  # relaxations of the membrane; more change nothing to be seen
_LAPLACE = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)

Mask = NDArray[np.bool_]


def make_backdrops(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Float:
    """Return every picture with the person taken out.

    Shapes:
        rgb: (N, R, R, 3) uint8. alpha: (N, R, R) uint8. returns: (N, R, R, 3) float32, 0–255.
    """
    colour, matte = rgb.astype(np.float32), alpha.astype(np.float32) / 255.0
    away = np.stack([_away_from_person(a) for a in matte])
    views = register_backgrounds(colour, away > 1.0)
    out = np.empty_like(colour)
    for group in sorted({view.group for view in views}):
        members = [index for index, view in enumerate(views) if view.group == group]
        noise = max(views[index].noise for index in members)
        plate, seen = _combine(colour, away, views, members)  # seen: how far from any person, where most of all
        doubt = _guess_error(colour[group], matte[group]) + noise
        person = _nearest_colour(rgb[group], matte[group] > _SURE_ALPHA)
        out[group] = _complete(plate, seen, (seen > 1.0) | (matte[group] < _NEARLY_CLEAR), person, doubt)
        for index in members[1:]:
            behind = (laid_over(out[group], views[index], back=True) - views[index].offset) / views[index].gain
            reach = laid_over(np.ones_like(doubt), views[index], back=True) > 0.99
            own = (away[index] >= _SURELY) | ~reach  # its own is sharper where it has it
            plate = np.where(own[..., None], colour[index], behind)
            seen = np.where(reach, _SURELY, away[index]).astype(np.float32)
            person = _nearest_colour(rgb[index], matte[index] > _SURE_ALPHA)
            out[index] = _complete(plate, seen, (seen > 1.0) | (matte[index] < _NEARLY_CLEAR), person, doubt)
    return np.clip(out, 0.0, 255.0)


def claim_rims(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], backdrops: Float) -> NDArray[np.uint8]:
    """Return mattes with what stands out from the backdrop beside the person, such as wisps of hair, claimed for it.

    Solves C = αF + (1 − α)B for alpha, F being the person's nearest sure colour.

    Shapes:
        rgb: (N, R, R, 3) uint8. alpha, returns: (N, R, R) uint8. backdrops: (N, R, R, 3) float32, 0–255.
    """
    out = alpha.copy()
    for i, matte in enumerate(alpha):
        share = matte.astype(np.float32) / 255.0
        sure = share > _SURE_ALPHA
        rim = ~_clear_by(share, _RIM_SHARE) & ~sure
        if not sure.any() or not rim.any():
            continue
        nearest = _nearest_colour(rgb[i], sure)
        off = rgb[i].astype(np.float32) - backdrops[i]
        mixed, lean, size = _mixture(off, nearest - backdrops[i])
        # A fringe that a camera's sharpening drew leans straight away from the person's colour. It goes with the
        # person too, in a share that can hold its colour.
        part = np.where(mixed > 0.0, mixed, _FRINGE_LEAST + size / _FRINGE)
        claimed = np.where(size > _ALIKE, np.clip(np.clip(lean + 0.5, 0.0, 1.0) * part, 0.0, _MOST_CLAIMED), 0.0)
        found = np.rint(255.0 * claimed).astype(np.uint8)
        out[i] = np.where(rim, np.maximum(matte, found), matte)
    return out


def span_holes(rgb: Float, known: Mask) -> Float:
    """Span unknown pixels by a membrane fixed at the known ones, coarse to fine.

    Shapes:
        rgb: (H, W, 3) float32. known: (H, W) bool. returns: (H, W, 3) float32, rgb where known.
    """
    if known.all():
        return rgb
    if not known.any():
        return np.broadcast_to(rgb.mean((0, 1)), rgb.shape).astype(np.float32)
    height, width = known.shape
    if min(height, width) <= _COARSEST_PX:
        spanned, steps = np.broadcast_to(rgb[known].mean(0), rgb.shape).astype(np.float32), _COARSE_STEPS
    else:
        half = (width // 2, height // 2)
        share = cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(rgb * known[..., None], half, interpolation=cv2.INTER_AREA)
        coarse = span_holes(np.asarray(mean / np.maximum(share, 1e-6)[..., None], np.float32), share > 1e-3)
        wide = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        spanned, steps = np.asarray(wide, np.float32), _STEPS
    keep = known[..., None]
    out = np.where(keep, rgb, spanned).astype(np.float32)
    for _ in range(steps):
        np.copyto(out, cv2.filter2D(out, -1, _LAPLACE, borderType=cv2.BORDER_REFLECT), where=~keep)
    return out


def _clear_by(alpha: Float, share: float) -> Mask:
    """Return where no person is near, by a share of the side."""
    reach_px = max(3, round(alpha.shape[0] * share))
    kernel = np.ones((2 * reach_px + 1, 2 * reach_px + 1), np.uint8)
    return np.asarray(cv2.dilate(alpha, kernel) < _CLEAR)


def _away_from_person(matte: Float) -> Float:
    """Return the distance from the person in units of `_EDGE_SHARE`, (R, R): above 1 is probably clean background."""
    clear = (matte < _CLEAR).astype(np.uint8)
    if clear.all():
        return np.full(matte.shape, 2 * _SURELY, np.float32)
    return np.asarray(cv2.distanceTransform(clear, cv2.DIST_L2, 5) / max(3.0, _EDGE_SHARE * len(matte)), np.float32)


def _combine(colour: Float, away: Float, views: list[BackgroundView], members: list[int]) -> tuple[Float, Float]:
    """Return one background of a group's pictures, in its first one's place and light.

    Returns:
        the background, (R, R, 3), and how far from the person the picture sees it that sees it best, (R, R).
    """
    group = members[0]
    if len(members) == 1:
        return colour[group], away[group]
    stack = np.stack([laid_over(colour[i], views[i]) * views[i].gain + views[i].offset for i in members])
    far = np.stack([laid_over(away[i], views[i]) for i in members])  # (M, R, R)
    clean = far > 1.0
    alike = _ALIKE + _NOISES * max(views[i].noise for i in members)
    best = stack[0].copy()
    lost = (far[0] < _SURELY) & clean.any(0)
    if lost.any():
        best[lost] = _most_likely(stack[:, lost], np.minimum(far[:, lost] * clean[:, lost], 2 * _SURELY), alike)
    agree = clean & (furthest(stack - best) <= alike)
    count = agree.sum(0)
    mean = np.einsum("mijc,mij->ijc", stack, agree.astype(np.float32)) / np.maximum(count, 1)[..., None]
    return np.where((count > 0)[..., None], mean, best).astype(np.float32), far.max(0)


def _most_likely(colours: Float, weight: Float, alike: float) -> Float:
    """Return of each place the colour with the most support, (P, 3).

    Shapes:
        colours: (M, P, 3). weight: (M, P), how surely each is background; 0 where it is not.
    """
    support = np.zeros_like(weight)
    for index, each in enumerate(colours):
        near = furthest(colours - each) <= alike  # (M, P)
        support[index] = (near * weight).sum(0) + 1e-3 * weight[index]
    choice = np.where(weight > 0, support, -1.0).argmax(0)
    return np.asarray(np.take_along_axis(colours, choice[None, :, None], 0)[0], np.float32)


def _complete(plate: Float, away: Float, shown: Mask, person: Float, error: Float) -> Float:
    """Return a background with its rim kept where it looks right, and the hole spanned.

    Args:
        plate: the background so far. away: how far from the person it was seen; surely clean from `_SURELY` on.
        shown: where it is worth a look at all. person: (R, R, 3) the nearest colour of the person.
        error: (R, R) of a guess, 0-255.
    """
    sure = away >= _SURELY
    if not sure.any():
        return span_holes(plate, shown)
    guess = span_holes(plate, sure)
    off = plate - guess
    share, lean, size = _mixture(off, person - guess)
    trace = np.where(share > 0, np.clip(lean, 0.0, 1.0), 0.0) * np.clip(1.5 - away, 0.0, 1.0)
    alike = _ALIKE + _GUESS_ERRORS * error * (1.0 - _TRACE * trace)
    # Not all at once: a threshold would draw a line of its own.
    t = np.clip((size - alike) / alike, 0.0, 1.0)
    foreign = np.where(sure, 0.0, np.clip(lean + 1.0, 0.0, 1.0) * t * t * (3 - 2 * t)).astype(np.float32)[..., None]
    return span_holes((plate - foreign * off).astype(np.float32), sure | shown)


def _mixture(off: Float, towards: Float) -> tuple[Float, Float, Float]:
    """Return how much of the person a colour holds that is off the background's: share, lean, size of the difference.

    A mixture lies on the line between both colours; what the room has there lies anywhere. Share is negative beyond
    the background; lean is 1 on the line, 0 where half of the difference points away from it, and down to -1.

    Shapes:
        off, towards: (R, R, 3), from the background's colour. returns: (R, R) each.
    """
    size = furthest(off)
    share = (off * towards).sum(-1) / ((towards**2).sum(-1) + 3 * _ALIKE**2)
    rest = furthest(off - share[..., None] * towards)
    return share.astype(np.float32), (1.0 - 2.0 * rest / (size + 1e-3)).astype(np.float32), size


def _guess_error(own: Float, matte: Float) -> Float:
    """Return how far off a guess is near each place, (R, R): measured on the next rim outwards, which is known."""
    if matte.shape[0] < _COARSEST_PX:
        return np.zeros(matte.shape, np.float32)
    small = (matte.shape[1] // 2, matte.shape[0] // 2)  # errors are smooth: half the size will do
    half = np.asarray(cv2.resize(own, small, interpolation=cv2.INTER_AREA), np.float32)
    half_matte = np.asarray(cv2.resize(matte, small, interpolation=cv2.INTER_AREA), np.float32)
    wider = _clear_by(half_matte, 2 * _RIM_SHARE)
    ring = _clear_by(half_matte, _RIM_SHARE) & ~wider
    if not wider.any() or not ring.any():
        return np.zeros(matte.shape, np.float32)
    error = furthest(span_holes(half, wider) - half) * ring
    reach = max(2.0, _RIM_SHARE * matte.shape[0])
    weight = cv2.GaussianBlur(ring.astype(np.float32), (0, 0), reach)
    smooth = cv2.GaussianBlur(error, (0, 0), reach) / np.maximum(weight, 1e-4)
    return np.asarray(cv2.resize(smooth, matte.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _nearest_colour(rgb: NDArray[np.uint8], sure: Mask) -> Float:
    """Return at every pixel the colour of the nearest sure one, smoothed along, (R, R, 3)."""
    if not sure.any():
        return np.asarray(rgb, np.float32)
    _, label = cv2.distanceTransformWithLabels((~sure).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    at = np.zeros(int(label.max()) + 1, np.int64)
    at[label[sure]] = np.flatnonzero(sure)
    found = rgb.reshape(-1, 3)[at[label]].astype(np.float32)
    return np.asarray(cv2.blur(found, (3, 3)), np.float32)
