# SPDX-License-Identifier: Apache-2.0
"""The trainer around a `Task` and a `BatchSource`: schedule, average, adversary, checkpoints, logs, judging. Offline.

cli → run ─ learner ─ optimiser, average, adversary      what a step changes
          ├ folder ─ checkpoint, journal, preview        what is written
          ├ judge                                        dev figures
          └ parallel ─ global_norm                       several processes under torchrun
"""

from __future__ import annotations

__all__: list[str] = []
