# SPDX-License-Identifier: Apache-2.0
"""The contact sheet: which moments it shows, and that their pictures are in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.app.contact_sheet import ContactSheet
from engine.errors import OutputUnwritable
from engine.types import Composite, OutputFrame
from engine.watermark.gate import seal


def output_frame(value: int) -> OutputFrame:
    return seal(Composite(0, np.full((128, 128, 3), value, np.uint8)), rendered_ns=0)


def filled(frame_count: int, *, moments: int = 6) -> ContactSheet:
    sheet = ContactSheet(title="a title", moments=moments)
    for index in range(frame_count):
        sheet.offer(
            index, at_s=index / 25, driver=np.full((90, 160, 3), index % 256, np.uint8), output=output_frame(200)
        )
    return sheet


@pytest.mark.parametrize(("frame_count", "shown"), [(0, 0), (1, 1), (5, 5), (6, 6), (7, 6), (250, 6), (10_007, 6)])
def test_shows_at_most_so_many_moments_from_first_to_last(frame_count: int, shown: int) -> None:
    pairs = filled(frame_count)._shown()
    assert len(pairs) == shown
    indices = [pair[0] for pair in pairs]
    assert indices == sorted(set(indices))
    if frame_count > 1:
        assert indices[0] == 0
        assert indices[-1] >= frame_count * 0.75
        assert max(np.diff(indices)) <= frame_count / shown * 2.5 + 1


def test_memory_does_not_grow_with_the_video() -> None:
    assert len(filled(5_000, moments=6)._pairs) <= 24


def test_the_pictures_are_in_the_sheet(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    filled(2).save(path)
    picture = np.asarray(Image.open(path).convert("RGB"))
    values = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert (200, 200, 200) in values  # the output
    assert {(0, 0, 0), (1, 1, 1)} <= values  # both drivers


def test_an_unwritable_path_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable, match="cannot be written"):
        filled(1).save(tmp_path / "missing" / "sheet.png")
