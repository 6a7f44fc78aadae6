# SPDX-License-Identifier: Apache-2.0
"""`bunraku verify`: did Bunraku make this video or picture? Reads the visible mark, the invisible one, the signature.

    media.py   a file → a few of its pictures, under limits: the file may be anybody's
    check.py   pictures and file → what each layer says
    report.py  … in words and as JSON

Any one thread. Nothing is written and no network is used.
"""

from __future__ import annotations

__all__: list[str] = []
