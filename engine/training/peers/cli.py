# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.training peers`: time ours and the peers' per-frame networks in one run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engine.cli.console import logging_to_file, progress
from engine.errors import InvalidSetting, OutputUnwritable
from engine.evaluation.machine import describe_machine, peak_rss_mb, write_json
from engine.training.peers.cpu import open_cpu
from engine.training.peers.gpu import computing, open_gpu
from engine.training.peers.networks import BASE, CONTENDERS
from engine.training.peers.report import PeersReport, make_rows, peers_tables
from engine.training.peers.timing import Timed, measure
from engine.training.train.device import choose_device

__all__ = ["time_peers"]

_PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16")}


def time_peers(
    device: Annotated[str, typer.Option(help="cpu (OpenVINO), cuda or cuda:N (torch).")] = "cpu",
    precision: Annotated[str, typer.Option(help="fp32 or bf16; on cuda fp16 too.")] = "fp32",
    frames: Annotated[int, typer.Option(help="Timed frames per network, at least.")] = 20,
    rounds: Annotated[int, typer.Option(help="Turns into which they are cut; ratios are taken in each.")] = 5,
    only: Annotated[list[str] | None, typer.Option(help=f"Only this one beside {BASE}; may be given again.")] = None,
    threads: Annotated[int, typer.Option(help="Threads on the CPU; 0: all cores, up to 8.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the random weights.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON too.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress.")] = False,
) -> None:
    """Time the per-frame networks of the peers' published architectures beside ours; random weights, speed only."""
    kind = _check(device, precision, frames=frames, rounds=rounds, threads=threads, out=out)
    names = _choose(only or ())
    with logging_to_file(), contextlib.ExitStack() as stack:
        if kind == "cuda":
            chosen = choose_device(device)
            stack.enter_context(computing(chosen, precision))
        with progress("building", quiet=quiet, unit="networks") as advance:
            networks: list[Timed] = []
            # the largest first: the exporter keeps hold of the last graph that it has rewritten, weights and all
            for name in reversed(names):
                advance(len(networks), len(names))
                contender = CONTENDERS[name]
                if kind == "cuda":
                    network = open_gpu(name, contender, device=chosen, precision=precision, seed=seed)
                else:
                    network = open_cpu(name, contender, threads=threads, precision=precision, seed=seed)
                networks.insert(0, network)
        with progress("measuring", quiet=quiet, unit="blocks") as advance:
            done, total = iter(range(1, rounds * len(names) + 1)), rounds * len(names)
            samples = measure(
                networks, rounds=rounds, frames=math.ceil(frames / rounds), step=lambda: advance(next(done), total)
            )
    report = PeersReport(
        rows=make_rows(networks, samples, base=BASE),
        base=BASE,
        device=device,
        precision=precision,
        rounds=rounds,
        seed=seed,
        peak_rss_mb=peak_rss_mb(),
        machine=describe_machine(),
    )
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a file or pipe has no width of its own, and a wrapped table cannot be read
    for table in peers_tables(report):
        console.print(table)
    if out is not None:
        write_json(report.as_dict(), out)


def _check(device: str, precision: str, *, frames: int, rounds: int, threads: int, out: Path | None) -> str:
    """Return the kind of device, cpu or cuda, of options that go together.

    Raises:
        InvalidSetting: they do not. OutputUnwritable: there is no folder for the report.
    """
    kind = device.split(":")[0]
    if kind not in _PRECISIONS or (kind == "cpu" and device != kind):
        raise InvalidSetting(f"There is no device '{device}'.", hint="Choose one of: cpu, cuda, cuda:N.")
    if precision not in _PRECISIONS[kind]:
        allowed = ", ".join(_PRECISIONS[kind])
        raise InvalidSetting(f"There is no precision '{precision}' on {kind}.", hint=f"Choose one of: {allowed}.")
    if rounds < 1 or frames < rounds:
        raise InvalidSetting(f"--frames must be at least --rounds, and that 1; got {frames} and {rounds}.")
    if threads < 0:
        raise InvalidSetting(f"--threads must be 0 or more, got {threads}.")
    if out is not None and (not out.resolve().parent.is_dir() or out.is_dir()):  # said now, not after ten minutes
        raise OutputUnwritable(f"The report cannot be written: {out}.", hint="Choose another path.", path=str(out))
    return kind


def _choose(only: Sequence[str]) -> list[str]:
    """Return the names to time, in the table's order, the base always among them.

    Raises:
        InvalidSetting: there is none of that name.
    """
    if wrong := sorted({*only} - {*CONTENDERS}):
        known = ", ".join(CONTENDERS)
        raise InvalidSetting(f"There is no network '{wrong[0]}'.", hint=f"Choose from: {known}.")
    return [name for name in CONTENDERS if not only or name in only or name == BASE]
