# SPDX-License-Identifier: Apache-2.0
"""The figures as tables for people and as values for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.evaluation.marks.strangers import Strangers
from engine.evaluation.marks.survival import Cost, Survival

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["MarksReport", "marks_tables"]


@dataclass(frozen=True, slots=True)
class MarksReport:
    """All that was measured; a part that was not asked for is None or empty. psnr: one value a scene, by kind."""

    machine: dict[str, Any]
    size_wh: tuple[int, int]
    survivals: list[Survival]
    psnr: dict[str, list[float]]
    cost: Cost | None
    strangers: Strangers | None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "machine": self.machine,
            "size_wh": list(self.size_wh),
            "survival": [
                {
                    "attack": row.attack,
                    "kind": row.kind,
                    "frames": len(row.bits),
                    "bit_accuracy": float(np.mean(row.bits)),
                    "payload_read": float(np.mean(row.read)),
                    "visible_found": float(np.mean(row.seen)),
                }
                for row in self.survivals
            ],
            "psnr_db": {kind: {"mean": float(np.mean(v)), "least": min(v)} for kind, v in self.psnr.items()},
            "cost_ms": asdict(self.cost) if self.cost is not None else None,
            "unmarked": asdict(self.strangers) if self.strangers is not None else None,
        }


def marks_tables(report: MarksReport) -> list[Table]:
    """Return the tables."""
    from rich.table import Table

    tables = []
    for kind, values in report.psnr.items():
        size = "{}×{}".format(*report.size_wh)
        title = f"{kind}: {len(values)} scenes, {size}, PSNR {np.mean(values):.1f} dB, least {min(values):.1f} dB"
        table = Table("attack", "frames", "bit accuracy %", "payload read %", "visible mark found %", title=title)
        for row in report.survivals:
            if row.kind == kind:
                shares = (100 * float(np.mean(values)) for values in (row.bits, row.read, row.seen))
                table.add_row(row.attack, str(len(row.bits)), *(f"{share:.1f}" for share in shares))
        tables.append(table)
    if report.cost is not None:
        table = Table("one thread, processor time", "p50 ms", "p95 ms", title="cost of marking one frame")
        table.add_row("invisible mark", *(f"{ms:.2f}" for ms in report.cost.imprint_ms))
        table.add_row("both marks, checked", *(f"{ms:.2f}" for ms in report.cost.seal_ms))
        table.add_row("first frame of a size, on top", f"{report.cost.once_ms:.0f}", "")
        tables.append(table)
    if (found := report.strangers) is not None:
        table = Table("", "pictures", "found", "strongest resemblance", title="unmarked pictures")
        table.add_row("invisible: payload", str(found.count), str(found.read), "")
        table.add_row("invisible: trace", str(found.count), str(found.traces), f"{found.highest_sync:.2f} σ")
        table.add_row("visible", str(found.scored), str(found.seen), f"{found.highest_score:.2f}")
        tables.append(table)
    return tables
