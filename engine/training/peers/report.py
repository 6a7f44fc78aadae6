# SPDX-License-Identifier: Apache-2.0
"""What `peers` found: one row per network and part of a frame; a table and JSON. Any thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.table import Table

from engine.stats import Spread, spread_of
from engine.training.peers.timing import Samples, Timed, ratios_of

__all__ = ["PeerRow", "PeersReport", "make_rows", "peers_tables"]

_MILLION, _GIGA = 1e6, 1e9
_CAPTION = (
    "vs: median over rounds of the ratio of the blocks' medians. cores: processor time over time by the clock; well "
    "below the number of threads, others had the machine, and only processor time (cpu) can be compared. Not timed: "
    "encoders (once per picture), lite's face tracker, LivePortrait's motion extractor. Rivals: random weights, 1 "
    "picture; ours: 4, of which 2 are picked."
)


@dataclass(frozen=True, slots=True)
class PeerRow:
    """runs: the parts of a frame that are counted; all figures are theirs. cpu: processor time of all threads.

    ratio, cpu_ratio: to the base's whole frame.
    """

    model: str
    words: str
    runs: str
    parameters_m: float
    gmacs: float
    time: Spread
    cpu: Spread
    ratio: float
    cpu_ratio: float
    cores: float
    how: str


@dataclass(frozen=True, slots=True, eq=False)
class PeersReport:
    """Everything one run found. base: the model of ratio 1. rounds: blocks per network. seed: of random weights."""

    rows: tuple[PeerRow, ...]
    base: str
    device: str
    precision: str
    rounds: int
    seed: int
    peak_rss_mb: float
    machine: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "machine": dict(self.machine),
            "device": self.device,
            "precision": self.precision,
            "rounds": self.rounds,
            "seed": self.seed,
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "base": self.base,
            "rows": [
                {
                    "model": row.model,
                    "words": row.words,
                    "runs": row.runs,
                    "how": row.how,
                    "parameters_m": round(row.parameters_m, 4),
                    "gmacs": round(row.gmacs, 4),
                    "p50_ms": round(row.time.p50_ms, 3),
                    "p95_ms": round(row.time.p95_ms, 3),
                    "p99_ms": round(row.time.p99_ms, 3),
                    "frames": row.time.count,
                    "cpu_p50_ms": round(row.cpu.p50_ms, 3),
                    "ratio": round(row.ratio, 3),
                    "cpu_ratio": round(row.cpu_ratio, 3),
                    "cores": round(row.cores, 2),
                }
                for row in self.rows
            ],
        }


def make_rows(networks: Sequence[Timed], samples: Mapping[str, Samples], *, base: str) -> tuple[PeerRow, ...]:
    """Return two rows for a network of several parts, the last part alone and all of them; one row for others."""
    rows = []
    for network in networks:
        everything = tuple(range(len(network.parts)))
        for parts in dict.fromkeys([everything[-1:], everything]):
            taken, costs = [network.parts[part] for part in parts], samples[network.name].frames(parts)
            ratio, cpu_ratio = ratios_of(samples, network.name, parts, base=base)
            rows.append(
                PeerRow(
                    model=network.name,
                    words=network.words,
                    runs=" + ".join(part.name for part in taken),
                    parameters_m=sum(part.parameters for part in taken) / _MILLION,
                    gmacs=sum(part.macs for part in taken) / _GIGA,
                    time=spread_of(cost.wall for cost in costs),
                    cpu=spread_of(cost.cpu for cost in costs),
                    ratio=ratio,
                    cpu_ratio=cpu_ratio,
                    cores=sum(cost.cpu for cost in costs) / max(1, sum(cost.wall for cost in costs)),
                    how=network.how,
                )
            )
    return tuple(rows)


def peers_tables(report: PeersReport) -> list[Table]:
    """Return the rows, and what they were measured on, as tables for a terminal."""
    table = _table(f"Per-frame networks, {report.device}, {report.precision}, {report.rounds} rounds in turns")
    table.caption, table.caption_justify = _CAPTION, "left"
    table.add_column("model", no_wrap=True)
    table.add_column("a frame is", no_wrap=True)
    for heading in (
        "M params",
        "GMACs",
        "p50 / p95 / p99 ms",
        "frames",
        f"vs {report.base}",
        "cores",
        "cpu ms",
        "cpu vs",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(
            row.model,
            row.runs,
            _short(row.parameters_m),
            _short(row.gmacs),
            " / ".join(f"{ms:.1f}" for ms in (row.time.p50_ms, row.time.p95_ms, row.time.p99_ms)),
            str(row.time.count),
            f"{row.ratio:.1f}x",
            f"{row.cores:.2f}",
            f"{row.cpu.p50_ms:.1f}",
            f"{row.cpu_ratio:.1f}x",
        )
    return [table, _facts(report)]


def _facts(report: PeersReport) -> Table:
    machine, table = report.machine, _table("Measured on")
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column()
    for row in {row.model: row for row in report.rows}.values():
        table.add_row(row.model, f"{row.words}; {row.how}")
    cores, memory_gib = machine.get("usable_cores", "?"), machine.get("memory_mb", 0) / 1024
    table.add_row(
        "machine", f"{machine.get('cpu', '')}, {cores} cores, {memory_gib:.0f} GiB, {machine.get('system', '')}"
    )
    libraries = ", ".join(f"{name} {version}" for name, version in machine.get("libraries", {}).items())
    table.add_row("python", f"{machine.get('python', '')}; {libraries}")
    table.add_row("memory", f"{report.peak_rss_mb:.0f} MiB at most")
    table.add_row("date", str(machine.get("date", "")))
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    return table


def _short(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"
