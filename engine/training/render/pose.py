# SPDX-License-Identifier: Apache-2.0
"""What an avatar does at one instant, and the named expressions it can take.

Data flow: recipe or motion track → Pose → Avatar.posed. Weights are those of the avatars' own morph targets
(left and right are the avatar's own sides), 0 rest … 1 full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from engine.errors import InvalidSetting

__all__ = ["EXPRESSIONS", "VOWELS", "Pose", "blend_weights", "expression_weights"]


@dataclass(frozen=True)
class Pose:
    """Head, eyes and face of an avatar at one instant.

    yaw_deg, pitch_deg, roll_deg: head, see `transforms`. shift_m: (right, up, towards the camera).
    gaze_deg: (right, down) of the eyes relative to the head. weights: morph target → weight.
    chest_follow: share of the head's turn that the shoulders take part in.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    shift_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gaze_deg: tuple[float, float] = (0.0, 0.0)
    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    chest_follow: float = 0.08


def _both(**weights: float) -> dict[str, float]:
    """Return the same weights for the left and the right target."""
    return {side + name: value for name, value in weights.items() for side in ("L", "R")}


_LIPS_PRESSED = {"MPB_Up": 0.9, "MPB_Down": 0.9}
_BROWS_UP = {"LLbrowUp": 1.0, "RRbrowUp": 1.0, **_both(browUp=1.0)}
_BROWS_DOWN = {"LLbrowDown": 0.8, "RRbrowDown": 0.8, **_both(browDown=0.8)}

# Mouth shapes of speech, from closed to wide; used by the talking tracks.
VOWELS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "rest": {},
        "a": {"AE_AA": 0.9, **_both(lipUp=0.2)},
        "o": {"AO_a": 0.85},
        "e": {"Ax_E": 0.9, "MouthOpen": 0.2, **_both(lipUp=0.25, lipDown=0.2)},
        "i": {"TD_I": 0.9, **_both(lipSide=0.3, lipUp=0.35, lipDown=0.3)},
        "u": {"UW_U": 0.9},
        "uh": {"UH_OO": 0.8, "MouthOpen": 0.25},
        "f": {"FV": 0.9},
        "s": {"S": 0.9},
        "sh": {"SH_CH": 0.9},
        "m": {"MPB_Up": 0.8, "MPB_Down": 0.8},
        "k": {"KG": 0.8},
        "h": {"H_EST": 0.9},
    }
)

EXPRESSIONS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "neutral": {},
        "smile": {**_both(smileClose=0.95, squint=0.18)},
        "grin": {**_both(smileOpen=0.9, squint=0.22, lowLid=0.2)},
        "laugh": {"MouthOpen": 0.5, **_both(smileOpen=0.85, squint=0.3)},
        "mouth_open": {"MouthOpen": 0.75, **_both(lipUp=0.45, lipDown=0.4, smileOpen=0.12)},
        "eyes_closed": {**_both(eyeClose=1.0)},
        "brows_up": {**_BROWS_UP},
        "brows_down": {**_BROWS_DOWN},
        "surprise": {"MouthOpen": 0.6, "Shout": 0.2, **_BROWS_UP, **_both(eyeOpen=0.9)},
        "sad": {**_both(mouthSad=0.8, sad=0.9)},
        "kiss": {"Kiss": 0.9},
        "pressed": {**_LIPS_PRESSED},
        "disgust": {**_both(disgust=0.9)},
        "teeth": {**_both(lipUp=0.9, lipDown=0.8, lipSide=0.4)},
        "tongue_out": {"MouthOpen": 0.65, "OutMiddle_tg": 1.0},
        "tongue_up": {"MouthOpen": 0.6, "CurlUp_Out_tg": 0.8},
        **{f"vowel_{name}": shape for name, shape in VOWELS.items() if name != "rest"},
    }
)


def expression_weights(parts: Mapping[str, float]) -> dict[str, float]:
    """Return morph weights of named expressions mixed by strength.

    A name that is no expression is taken for a morph target of its own.

    Raises:
        InvalidSetting: a strength is negative or above 1.5.
    """
    for name, strength in parts.items():
        if not 0 <= strength <= 1.5:
            raise InvalidSetting(f"The strength of '{name}' must lie between 0 and 1.5, got {strength}.")
    return blend_weights(*((EXPRESSIONS.get(name, {name: 1.0}), strength) for name, strength in parts.items()))


def blend_weights(*parts: tuple[Mapping[str, float], float]) -> dict[str, float]:
    """Return the sum of weight tables, each times its strength, kept within [0, 1]."""
    total: dict[str, float] = {}
    for weights, strength in parts:
        for name, value in weights.items():
            total[name] = total.get(name, 0.0) + value * strength
    return {name: min(max(value, 0.0), 1.0) for name, value in total.items()}
