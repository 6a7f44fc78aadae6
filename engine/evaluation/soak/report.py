# SPDX-License-Identifier: Apache-2.0
"""What a soak run found: values, verdict, JSON, tables. Any thread."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.evaluation.soak.resources import Sample

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Episode", "SoakReport", "soak_tables"]

SLOPE_LIMIT_MB_H = 5.0
GROWTH_LIMIT_MB = 30.0  # where a run is too short for a slope: caches fill, pools grow to their size
RECOVERY_LIMIT_S = 1.0
_LEAST_SLOPE_S = 1800.0
_WARM_UP_SHARE = 0.1
_S_PER_H = 3600.0
_OTHERS_MOST = 0.25  # of the machine's processors; with more for other programs, times say nothing about us


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault. at_s: when it began. noticed_s: until the state said so; None where it never did, 0 where it need
    not. recovered_s: from its end until the state was clear again; None where it never was."""

    fault: str
    at_s: float
    lasted_s: float
    noticed_s: float | None
    recovered_s: float | None


@dataclass(frozen=True, slots=True)
class SoakReport:
    """A run's outcome. problems: why it did not pass, one sentence each."""

    engine: str
    machine: dict[str, Any]
    seed: int
    seconds: float
    sent: int
    unmarked: int
    raw: int
    longest_gap_s: float
    pieces: int
    broken_pieces: int
    failed: str
    stuck: tuple[str, ...]
    warnings: dict[str, int]
    episodes: tuple[Episode, ...]
    samples: tuple[Sample, ...]

    @property
    def slope_mb_h(self) -> float | None:
        """Growth of memory in MB an hour, a line through all samples after the first tenth; None for a short run."""
        return self._slope(lambda sample: sample.rss_mb)

    @property
    def heap_slope_mb_h(self) -> float | None:
        """As `slope_mb_h`, of what is in use in the C library's heaps: without what they only keep for later."""
        return self._slope(lambda sample: sample.heap_mb)

    @property
    def growth_mb(self) -> float:
        """The median memory of the last quarter over that of the second."""
        kept = self._warm()
        if len(kept) < 8:
            return 0.0
        quarter = len(kept) // 4
        early, late = kept[quarter : 2 * quarter], kept[-quarter:]
        return float(np.median([s.rss_mb for s in late]) - np.median([s.rss_mb for s in early]))

    @property
    def worst_recovery_s(self) -> float:
        """The longest time from a fault's end until the state was clear, of those that are judged."""
        return max((e.recovered_s for e in self._judged() if e.recovered_s is not None), default=0.0)

    @property
    def not_judged(self) -> int:
        """How many recoveries say nothing about us, since other programs had the processor then."""
        return len(self.episodes) - len(self._judged())

    @property
    def problems(self) -> list[str]:
        """Why the run did not pass; empty where it did."""
        lost = [e.fault for e in self.episodes if e.recovered_s is None]
        unseen = [e.fault for e in self.episodes if e.noticed_s is None]
        slope = self.slope_mb_h
        checks = [
            (bool(self.failed), f"the pipeline failed: {self.failed}"),
            (self.sent == 0, "no frame was sent"),
            (self.unmarked > 0, f"{self.unmarked} of {self.sent} frames had no mark"),
            (self.raw > 0, f"{self.raw} of {self.sent} frames showed the driver"),
            (self.broken_pieces > 0, f"{self.broken_pieces} of {self.pieces} recordings do not play to their end"),
            (bool(self.stuck), f"threads did not end: {', '.join(self.stuck)}"),
            (bool(lost), f"not recovered from: {', '.join(lost)}"),
            (bool(unseen), f"not noticed: {', '.join(unseen)}"),
            (self.worst_recovery_s > RECOVERY_LIMIT_S, f"a recovery took {self.worst_recovery_s:.2f} s"),
            (slope is not None and slope > SLOPE_LIMIT_MB_H, f"memory grew by {slope or 0:.1f} MB an hour"),
            (slope is None and self.growth_mb > GROWTH_LIMIT_MB, f"memory grew by {self.growth_mb:.0f} MB"),
        ]
        return [words for holds, words in checks if holds]

    @property
    def verdict(self) -> str:
        """One line."""
        slope = self.slope_mb_h
        memory = f"RSS {self.growth_mb:+.0f} MB (too short for MB/h)"
        if slope is not None:
            heap = self.heap_slope_mb_h
            memory = f"RSS {slope:+.1f} MB/h after the first tenth"
            memory += f" (heap in use {heap:+.1f})" if heap is not None else ""
        busy = f" ({self.not_judged} not judged: others had the processor)" if self.not_judged else ""
        facts = (
            f"{self.seconds / 60:.1f} min, {self.unmarked} unmarked and {self.raw} raw of {self.sent} frames sent, "
            f"{len(self.episodes)} faults, worst recovery {self.worst_recovery_s:.2f} s{busy}, {memory}, "
            f"{len(self.stuck)} stuck threads, {self.pieces - self.broken_pieces} of {self.pieces} recordings play"
        )
        problems = self.problems
        return f"PASSED: {facts}" if not problems else f"NOT PASSED ({'; '.join(problems)}): {facts}"

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        derived = {
            "verdict": self.verdict,
            "passed": not self.problems,
            "slope_mb_h": self.slope_mb_h,
            "heap_slope_mb_h": self.heap_slope_mb_h,
            "worst_recovery_s": self.worst_recovery_s,
            "not_judged": self.not_judged,
        }
        return {**derived, "growth_mb": self.growth_mb, **dataclasses.asdict(self)}

    def _slope(self, of: Callable[[Sample], float | None]) -> float | None:
        kept = [(s.at_s, value) for s in self._warm() if (value := of(s)) is not None]
        if self.seconds < _LEAST_SLOPE_S or len(kept) < 3:
            return None
        slope: float = np.polyfit([at_s for at_s, _ in kept], [value for _, value in kept], 1)[0]
        return float(slope * _S_PER_H)

    def _judged(self) -> Sequence[Episode]:
        """Return the faults during which the machine was ours."""
        at_s = np.array([s.at_s for s in self.samples])
        busy = np.array([s.others > _OTHERS_MOST for s in self.samples], bool)
        judged = []
        for episode in self.episodes:
            end_s = episode.at_s + episode.lasted_s + (episode.recovered_s or 0.0)
            first, last = np.searchsorted(at_s, (episode.at_s, end_s))
            if not busy[first : last + 1].any():  # a sample tells of the time before it: one more
                judged.append(episode)
        return judged

    def _warm(self) -> Sequence[Sample]:
        return [sample for sample in self.samples if sample.at_s >= _WARM_UP_SHARE * self.seconds]


def soak_tables(report: SoakReport) -> list[Table]:
    """Return a table with a row for each kind of fault."""
    from rich.table import Table

    table = Table(title=f"Faults, seed {report.seed}")
    table.add_column("fault")
    for heading in ("times", "noticed after, s", "gone after, median s", "p95 s", "worst s"):
        table.add_column(heading, justify="right")
    for name in sorted({episode.fault for episode in report.episodes}):
        episodes = [episode for episode in report.episodes if episode.fault == name]
        noticed = [e.noticed_s for e in episodes if e.noticed_s]
        recovered = [e.recovered_s for e in episodes if e.recovered_s is not None]
        table.add_row(
            name,
            str(len(episodes)),
            f"{np.median(noticed):.2f}" if noticed else "–",
            f"{np.median(recovered):.2f}" if recovered else "never",
            f"{np.percentile(recovered, 95):.2f}" if recovered else "never",
            f"{max(recovered):.2f}" if len(recovered) == len(episodes) else "never",
        )
    return [table]
