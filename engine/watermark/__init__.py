# SPDX-License-Identifier: Apache-2.0
"""The visible and the invisible mark that every frame carries, and the gate that lets no frame pass without them.

visible.py, card.py, detector.py    "AI MODIFIED": drawn, on the holding card, found again by other means
payload.py, carriers.py             what the invisible mark says, and the waves that say it: the format
imprint.py                          puts it into a frame
whitening.py, imprint_reader.py     read it from whatever became of the frame
gate.py                             a composite → a sealed frame
"""

from __future__ import annotations

__all__: list[str] = []
