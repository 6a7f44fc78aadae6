# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.evaluation.marks`: what the marks survive and cost, and how often one is seen where none is.

    scenes.py    unmarked frames: characters moved by the built-in clip, pictures with a slow camera, flat cards
    attacks.py   what happens to a frame on its way: H.264, halving, cropping, JPEG, brightness, YUV, screenshots
    survival.py  marks scenes, attacks them, reads the marks again
    strangers.py unmarked pictures, many: how often is a mark seen in them?
    report.py    the results as tables and JSON

Nothing here writes a picture to disk.
"""

from __future__ import annotations

__all__: list[str] = []
