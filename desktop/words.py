# SPDX-License-Identifier: Apache-2.0
"""What the window says about a run: state, slowest stage and what to do, delay and where to type it.

Pure functions from the engine's values to words; no Qt, so that every sentence can be tested.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from engine import state as states
from engine.errors import ConsentMissing, PuppeteerError
from engine.events import Drifted, Failed, PipelineEvent, ThreadStuck, Warned
from engine.state import Phase, PipelineState
from engine.stats import PipelineStats

__all__ = [
    "LONGEST_ADVICE",
    "STAGES",
    "Chip",
    "StageLoad",
    "Tone",
    "advice_for",
    "bottleneck",
    "chip_for",
    "delay_ms",
    "delay_words",
    "error_words",
    "event_words",
    "quality_words",
    "stage_loads",
]


class Tone(enum.Enum):
    """How a word is meant; the theme has a colour for each."""

    QUIET = "quiet"
    GOOD = "good"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Chip:
    """The state in one word, with the reason."""

    word: str
    tone: Tone
    reason: str


@dataclass(frozen=True, slots=True)
class StageLoad:
    """One part of the way from camera to output. took_ms: half of the frames take less."""

    name: str
    took_ms: float


# What the viewer of the bar knows, and the engine's stages behind it. Reading a camera is mostly waiting for the next
# picture, so the camera is judged by its frames per second instead.
STAGES: Mapping[str, tuple[str, ...]] = {
    "Track": ("track", "retarget"),
    "Warp": ("warp",),
    "Compose": ("composite", "watermark"),
}
_CAMERA_ADVICE = "The camera gives {fps:.0f} pictures a second: more light lets it give more; a video has its own rate."
LONGEST_ADVICE = _CAMERA_ADVICE.format(fps=100)
"""What the window keeps room for."""
_CONSENT_HINT = "Click it in the gallery, press Edit…, and fill in whose face it is."
_LATE_SHARE = 0.1
_CAMERA_SHORT = 0.8  # below this share of the asked rate, with time to spare, the camera is what limits

_REASONS = {
    states.TRACKING_LOST: "no face is found; look at the camera, with light on your face",
    states.CAMERA_LOST: "the camera is gone; it is opened again as soon as it answers",
    states.CAMERA_BLACK: "the camera sends only black pictures; open its shutter, or switch on a light",
    states.CAMERA_FROZEN: "the camera repeats the same picture; unplug it and plug it in again",
    states.CAMERA_SLOW: "the camera sends too few pictures; give it more light or another USB port",
    states.ENGINE_RECOVERING: "the engine failed and is being made anew",
    states.CAMERA_STALLED: "the camera sends no pictures; check its cable, or other programs that use it",
    "virtual camera lost": "the virtual camera is being opened again",
    "virtual camera stopped": "the virtual camera gave up; switch it off and on again",
    "mp4 stopped": "the recording ended; see the notice",
}
_PHASES = {
    Phase.IDLE: Chip("OFF", Tone.QUIET, "press Start to go live"),
    Phase.LOADING: Chip("OPENING", Tone.BUSY, "opening the camera and the engine"),
    Phase.RUNNING: Chip("LIVE", Tone.GOOD, "the character follows you"),
    Phase.STOPPING: Chip("STOPPING", Tone.BUSY, "closing the camera and the engine"),
}


def chip_for(state: PipelineState) -> Chip:
    """Return the state chip."""
    if state.phase is Phase.FAILED:
        return Chip("FAILED", Tone.BAD, error_words(state.error) if state.error is not None else "unknown error")
    if state.phase is not Phase.DEGRADED:
        return _PHASES[state.phase]
    reasons = state.reasons
    hushed = {states.BLANKED}  # what another reason says already: no camera, no pictures; no pictures, no face
    if states.CAMERA_LOST in reasons or states.CAMERA_STALLED in reasons:
        hushed.add(states.TRACKING_LOST)
    if states.CAMERA_LOST in reasons:
        hushed.add(states.CAMERA_STALLED)
    words = "; ".join(_REASONS.get(reason, reason) for reason in reasons if reason not in hushed)
    if states.BLANKED in reasons:
        return Chip("HIDDEN", Tone.WARN, "the holding card is shown until you choose Show again")
    if {states.CAMERA_LOST, states.ENGINE_RECOVERING, "virtual camera lost"} & set(reasons):
        return Chip("RECOVERING", Tone.WARN, words)
    if {states.CAMERA_STALLED, states.CAMERA_BLACK, states.CAMERA_FROZEN} & set(reasons):
        return Chip("STALLED", Tone.WARN, words)
    if states.TRACKING_LOST in reasons:
        return Chip("LOST", Tone.WARN, words)
    return Chip("LIVE", Tone.WARN, words)


def stage_loads(stats: PipelineStats) -> list[StageLoad]:
    """Return what the stages of the bar cost, in the order of the flow; the sink is the slowest open output."""
    loads = [
        StageLoad(name, sum(stats.stages[part].p50_ms for part in parts if part in stats.stages))
        for name, parts in STAGES.items()
    ]
    sinks = [spread.p50_ms for name, spread in stats.stages.items() if name.startswith("sink ")]
    return [*loads, StageLoad("Output", max(sinks, default=0.0))]


def bottleneck(stats: PipelineStats, *, fps: float, wanted_fps: float, late: float = 0.0) -> str:
    """Name what limits the frame rate: a stage's name, "Camera", "Processor", or nothing where all keeps up.

    late: share of the camera's pictures that the engine did not get to. Late although every stage is fast: others
    have the processor.
    """
    loads = stage_loads(stats)
    slowest = max(loads, key=lambda load: load.took_ms)
    if fps <= 0 or slowest.took_ms <= 0 or fps >= wanted_fps * _CAMERA_SHORT:
        return ""
    render_ms = sum(load.took_ms for load in loads[:-1])
    period_ms = 1000.0 / fps
    waits = max(render_ms, loads[-1].took_ms) < _CAMERA_SHORT * period_ms  # it could do more than it does
    if waits and late < _LATE_SHARE:
        return "Camera"
    if waits and max(render_ms, loads[-1].took_ms) < 1000.0 / wanted_fps:
        return "Processor"
    return slowest.name


def advice_for(limit: str, stats: PipelineStats, *, fps: float, wanted_fps: float) -> str:
    """Return one sentence about the bottleneck with one thing to do; a calm one where there is none."""
    if not limit:
        return f"All stages keep up with {wanted_fps:.0f} fps." if fps > 0 else ""
    if limit == "Camera":
        return _CAMERA_ADVICE.format(fps=fps)
    if limit == "Processor":
        return "Every stage is fast, but the processor is busy: close other programs that use it."
    took = next(load.took_ms for load in stage_loads(stats) if load.name == limit)
    what_to_do = {
        "Track": "close other programs that use the processor.",
        "Warp": "choose the model with the smaller picture.",
        "Compose": "choose a smaller output size.",
        "Output": "choose a smaller output size or stop recording.",
    }
    return f"{limit} takes {took:.0f} ms of {1000 / wanted_fps:.0f} ms: {what_to_do[limit]}"


def delay_ms(stats: PipelineStats) -> float | None:
    """Return the delay from camera to output, half of the frames are younger; to the virtual camera where it is on."""
    for name in ("virtual camera", "preview"):
        if name in stats.frame_age and stats.frame_age[name].count:
            return stats.frame_age[name].p50_ms
    return None


def delay_words(delay: float | None) -> str:
    """Say where to type the delay so that voice and face agree."""
    if delay is None:
        return "The delay is measured while the character is live."
    ms = round(delay)
    return (
        f"Your face leaves {ms} ms after the camera saw it. In OBS: Edit → Advanced Audio Properties → Sync Offset of "
        f"the microphone: {ms} ms. Zoom has no such field: let OBS delay the microphone, set its Audio Monitoring to "
        "Monitor and Output on a virtual audio cable, and choose that cable as Zoom's microphone."
    )


def error_words(error: BaseException) -> str:
    """Return what the user reads: the sentence and the hint; for a mistake of ours, that too."""
    if isinstance(error, ConsentMissing):
        return f"{error.message} {_CONSENT_HINT}"
    if isinstance(error, PuppeteerError):
        return str(error)
    text = str(error).strip() or "no details"
    return f"Something unexpected happened: {text} ({type(error).__name__}). Copy diagnostics and report it."


def quality_words(quality: float) -> str:
    """Return what a neutral pose's quality, [0, 1], means."""
    verdict = "very good" if quality > 0.75 else "good" if quality > 0.45 else "usable; a calmer face is better"
    return f"{quality * 100:.0f} %, {verdict}"


def event_words(event: PipelineEvent) -> tuple[str, Tone] | None:
    """Return what is told of something that happened by itself; None where the window shows it otherwise."""
    if isinstance(event, Drifted):
        words = "You sit otherwise than when you calibrated. Calibrate again (Ctrl+N) for a better likeness."
        return words, Tone.QUIET
    if isinstance(event, Warned):  # the run goes on, and the word goes away by itself
        return error_words(event.error), Tone.WARN
    if isinstance(event, Failed):
        return error_words(event.error), Tone.BAD
    if isinstance(event, ThreadStuck):
        words = f"The part {event.name} did not end in time; restart Bunraku if a camera stays busy."
        return words, Tone.WARN
    return None
