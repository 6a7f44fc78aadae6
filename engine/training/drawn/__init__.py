# SPDX-License-Identifier: Apache-2.0
"""Characters that are drawn, not rendered: an anime girl and a robot, each from every side, by code alone.

    canvas.py   what lines, fills and soft shadows are made with (skia)
    head.py     a head in space: where a drawn point goes when the head turns
    anime.py    Mika
    robot.py    Bolt
    sets.py     pictures, mattes and guide points → a source set

`python -m engine.training.render drawn` makes the sets.
"""

from __future__ import annotations

__all__: list[str] = []
