# SPDX-License-Identifier: Apache-2.0
"""Where the licence of a group of sources is written: its own LICENSE file, else the table in the folder's README.

The table is a Markdown one with the columns folder, what, licence; a folder is written `train/NAME`, `dev/NAME` or
`*/NAME`, several with commas between them. Reads files; any thread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NOT_STATED", "Licence", "find_licence"]

NOT_STATED = "not stated"

_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt", "COPYING")
_NAMES = (
    ("MIT License", "MIT"),
    ("Apache License", "Apache-2.0"),
    ("Attribution 4.0 International", "CC BY 4.0"),
    ("CC0 1.0 Universal", "CC0"),
)


@dataclass(frozen=True, slots=True)
class Licence:
    """name: short, as the sources state it. origin: one line on what the group is. text: of the file, or empty."""

    name: str
    origin: str
    text: str


def find_licence(sources: Path, split: str, group: str) -> Licence:
    """Return what is known of a group's licence; `NOT_STATED` where nothing is."""
    text = next((_read(p) for name in _FILES if (p := sources / split / group / name).is_file()), "")
    origin, name = _from_table(_read(sources / "README.md"), split, group)
    if not name and text:
        known = (short for phrase, short in _NAMES if phrase.lower() in text[:400].lower())
        name = next(known, text.strip().splitlines()[0][:80])
    return Licence(name or NOT_STATED, origin, text)


def _from_table(text: str, split: str, group: str) -> tuple[str, str]:
    """Return (what, licence) of a group's row; empty where there is none."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 3 or not line.lstrip().startswith("|"):
            continue
        folders = [name.strip("` ") for name in cells[0].split(",")]
        if any(folder in (f"*/{group}", f"{split}/{group}") for folder in folders):
            return re.sub(r"\s+", " ", cells[1]), re.sub(r"\s+", " ", cells[2])
    return "", ""


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
