# SPDX-License-Identifier: Apache-2.0
"""Training packs: avatars, clips and pictures → one small folder that the trainer holds in memory. Offline.

Flow of a build: plan says what goes in; make renders, cuts, tracks and mattes one item; files writes it; build does
that for all items, compresses the landmarks and writes the manifest. load reads a split back, shards cuts a pack into
tar files for training on more than fits in memory, info checks every file. The format is written down in `format`.
"""

from __future__ import annotations

from engine.training.pack.format import PackManifest, read_manifest
from engine.training.pack.load import load_split

__all__ = ["PackManifest", "load_split", "read_manifest"]
