# SPDX-License-Identifier: Apache-2.0
"""Signed recordings: a C2PA manifest in every MP4 and PNG, and reading it again. Any thread; no network.

    identity.py  the key of this installation, or the user's own certificate
    manifest.py  what a manifest says
    signing.py   puts it into files
    reading.py   finds it again and says whether it holds

Source: C2PA Technical Specification 2.2, https://spec.c2pa.org.
"""

from __future__ import annotations

__all__: list[str] = []
