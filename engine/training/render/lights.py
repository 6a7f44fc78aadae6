# SPDX-License-Identifier: Apache-2.0
"""Light rigs: a shadow-casting key, a fill, two rims and an ambient sky over a ground.

Data flow: recipe → LightRig.exposed_for(albedo) → renderer uniforms. Colours are linear RGB; angles as in
`transforms.direction`. Directions point from the face to the lamp and stay fixed in the world, so a turning head
moves through the light.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.training.render.transforms import direction

__all__ = ["LIGHT_RIGS", "Lamp", "LightRig", "random_rig"]

_REFERENCE_ALBEDO = 0.25  # linear; a mid skin tone


@dataclass(frozen=True)
class Lamp:
    """One parallel light. colour: linear RGB including its strength."""

    azimuth_deg: float
    elevation_deg: float
    colour: tuple[float, float, float]

    def scaled(self, gain: float) -> Lamp:
        """Return the lamp at another strength."""
        return replace(self, colour=_scaled(self.colour, gain))

    def irradiance(self, normals: NDArray[np.float64]) -> float:
        """Return the mean light that surfaces with these normals (K, 3) receive."""
        facing = np.maximum(normals @ direction(self.azimuth_deg, self.elevation_deg), 0).mean()
        return float(facing * np.mean(self.colour))


@dataclass(frozen=True)
class LightRig:
    """All lights of one picture set. softness: width of the key's shadow edge, 1 is a large window."""

    key: Lamp
    fill: Lamp
    rim_left: Lamp
    rim_right: Lamp
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    softness: float = 1.0

    def exposed_for(self, albedo: float, *, brightness: float = 1.0) -> LightRig:
        """Return the rig scaled so that a face of this albedo comes out well exposed.

        Dark skin gets part of the way towards mid grey, as a photographer would meter it, not all of it.

        Args:
            albedo: mean linear reflectance of the face. brightness: taste, 1 is normal.
        """
        normals = np.stack([direction(a, e) for a in (-50, -20, 0, 20, 50) for e in (-20, 10, 35)])
        total = self.key.irradiance(normals) + self.fill.irradiance(normals)
        total += 0.5 * float(np.mean(self.sky) + np.mean(self.ground))
        gain = brightness * float(np.clip((_REFERENCE_ALBEDO / albedo) ** 0.45, 0.8, 1.9)) / total
        return replace(
            self,
            key=self.key.scaled(gain),
            fill=self.fill.scaled(gain),
            rim_left=self.rim_left.scaled(gain),
            rim_right=self.rim_right.scaled(gain),
            sky=_scaled(self.sky, gain),
            ground=_scaled(self.ground, gain),
        )


def _scaled(colour: tuple[float, float, float], gain: float) -> tuple[float, float, float]:
    return (colour[0] * gain, colour[1] * gain, colour[2] * gain)


_OFF = Lamp(0.0, 0.0, (0.0, 0.0, 0.0))

LIGHT_RIGS = {
    # a large window to the left, bounce from the right
    "window": LightRig(
        key=Lamp(-38, 28, (1.55, 1.48, 1.38)),
        fill=Lamp(48, 4, (0.42, 0.44, 0.50)),
        rim_left=_OFF,
        rim_right=Lamp(148, 28, (0.95, 0.92, 0.9)),
        sky=(0.52, 0.55, 0.60),
        ground=(0.32, 0.27, 0.24),
        softness=1.6,
    ),
    # frontal beauty light from above, two cool rims
    "studio": LightRig(
        key=Lamp(20, 34, (1.5, 1.45, 1.40)),
        fill=Lamp(-30, -8, (0.48, 0.47, 0.46)),
        rim_left=Lamp(-140, 22, (0.9, 1.0, 1.2)),
        rim_right=Lamp(140, 22, (0.9, 1.0, 1.2)),
        sky=(0.50, 0.52, 0.56),
        ground=(0.34, 0.32, 0.30),
        softness=1.3,
    ),
    # low warm sun from the right, blue shade
    "evening": LightRig(
        key=Lamp(44, 20, (1.75, 1.38, 1.02)),
        fill=Lamp(-45, 8, (0.42, 0.50, 0.64)),
        rim_left=Lamp(-150, 25, (1.3, 1.05, 0.8)),
        rim_right=_OFF,
        sky=(0.46, 0.52, 0.64),
        ground=(0.32, 0.26, 0.22),
        softness=1.1,
    ),
    # even daylight
    "overcast": LightRig(
        key=Lamp(-15, 45, (1.05, 1.06, 1.08)),
        fill=Lamp(30, 0, (0.40, 0.39, 0.38)),
        rim_left=Lamp(-150, 35, (0.5, 0.52, 0.55)),
        rim_right=Lamp(150, 35, (0.5, 0.52, 0.55)),
        sky=(0.78, 0.80, 0.84),
        ground=(0.42, 0.39, 0.36),
        softness=2.4,
    ),
    # one hard lamp high to the right: a museum's spot
    "gallery": LightRig(
        key=Lamp(42, 40, (1.75, 1.66, 1.52)),
        fill=Lamp(-60, 5, (0.24, 0.28, 0.36)),
        rim_left=Lamp(-140, 25, (0.5, 0.6, 0.85)),
        rim_right=_OFF,
        sky=(0.36, 0.38, 0.42),
        ground=(0.22, 0.20, 0.19),
        softness=0.9,
    ),
}


def random_rig(rng: np.random.Generator) -> LightRig:
    """Return a plausible rig: a key within 60° of the camera, anything between soft and contrasty."""
    side = float(rng.choice([-1.0, 1.0]))

    def tint(strength: float, spread: float = 0.3) -> tuple[float, float, float]:
        warmth = float(np.clip(rng.normal(0, spread), -0.8, 0.8))
        return (strength * (1 + 0.3 * warmth), strength, strength * (1 - 0.35 * warmth))

    ambient = float(rng.uniform(0.35, 0.8))
    return LightRig(
        key=Lamp(side * rng.uniform(5, 60), rng.uniform(8, 50), tint(rng.uniform(0.9, 2.0))),
        fill=Lamp(-side * rng.uniform(15, 70), rng.uniform(-10, 25), tint(rng.uniform(0.15, 0.7))),
        rim_left=Lamp(-rng.uniform(125, 160), rng.uniform(10, 40), tint(rng.choice([0.0, 0.8]), 0.5)),
        rim_right=Lamp(rng.uniform(125, 160), rng.uniform(10, 40), tint(rng.choice([0.0, 0.8]), 0.5)),
        sky=tint(ambient),
        ground=tint(ambient * 0.55),
        softness=float(rng.uniform(0.7, 2.2)),
    )
