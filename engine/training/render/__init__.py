# SPDX-License-Identifier: Apache-2.0
"""Our own renderer of rigged avatars: the built-in source sets, the driving clip and training clips come from it.

Flow: glb → loading → avatar; pose and motion say what it does; lights, background and looks say how it looks;
renderer draws RGBA; clip and source_sets write files. Run `python -m engine.training.render --help`.
"""

from __future__ import annotations

__all__: list[str] = []
