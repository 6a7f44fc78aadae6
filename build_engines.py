#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build the engines of the shipped models for NVIDIA GPUs: ahead of time for RTX GPUs, or for the GPU at hand.

    python build_engines.py                        check the models, build what is missing for RTX GPUs, without a GPU
    python build_engines.py --flavour tensorrt     the same with TensorRT 10 or 11, for the GPU at hand
    python build_engines.py --list                 the models, the hashes of their ONNX files, the engines there are
    python build_engines.py --check                compare the hashes, let the builder read the graphs, build nothing
    python build_engines.py --parity               say how far the graphs to build are from the exported ones, no more
    python build_engines.py --only lite --target sm89 --out engines/

Run it with the Python that Bunraku is installed for (`.venv/bin/python` after `python3 run.py`). Ctrl-C stops it and
leaves no half file. Exit codes are those of `bunraku`: 0 done, 2 wrong option, 6 cannot write, 7 a model or an engine
is damaged, too far from the exported one or refused, or the builder is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.build.flavour import Flavour
    from engine.runtime.engine_file import EngineRecord
    from engine.runtime.manifest import ModelManifest

__all__ = ["main"]

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """List, check or build; returns the exit code."""
    if importlib.util.find_spec("platformdirs") is None:
        say("Bunraku is not installed for this Python. Run python3 run.py, then use .venv/bin/python.")
        return 7
    from engine.errors import PuppeteerError
    from engine.runtime.manifest import list_models, load_manifest

    options = parse(argv, list_models())
    try:
        manifests = [load_manifest(name) for name in options.only]
        if options.list:
            list_hashes(manifests)
            list_engines(manifests, options.out)
            return 0
        for manifest in manifests:
            manifest.verify()
            print(f"{manifest.name}: {len(manifest.files)} files are as their manifest says", flush=True)
        if options.parity:
            report_parity(manifests)
        elif options.check:
            check_graphs(manifests, options.flavour)
            check_engines(manifests, options.out)
        else:
            build(manifests, options)
    except PuppeteerError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("Stopped.")
        return INTERRUPTED
    return 0


def parse(argv: Sequence[str] | None, models: list[str]) -> argparse.Namespace:
    """Return the options; ends the program with code 2 where they are wrong."""
    from engine.build.profiles import PROFILES
    from engine.runtime.engine_file import default_folder
    from engine.runtime.tensorrt_library import FLAVOURS, RTX_KNOWN, RTX_TARGETS

    parser = argparse.ArgumentParser(
        prog="build_engines.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="list the models, their hashes and the engines")
    action.add_argument("--check", action="store_true", help="check models, operators and engines; build nothing")
    action.add_argument("--parity", action="store_true", help="compare the graphs to build with the exported ones")
    parser.add_argument("--only", action="append", choices=models, metavar="MODEL", help=f"one of: {', '.join(models)}")
    parser.add_argument("--flavour", choices=FLAVOURS, default="tensorrt_rtx", help="the builder (default %(default)s)")
    parser.add_argument(
        "--target",
        type=some_targets,
        metavar="GPUS",
        help=f"GPU architectures: tensorrt_rtx some of {','.join(RTX_KNOWN)} (default {','.join(RTX_TARGETS)}), "
        "tensorrt the one at hand",
    )
    parser.add_argument(
        "--profile", choices=PROFILES, default="range", help="numbers of pictures: one range, or 1, 2, 3-4, 5-8, 9-16"
    )
    parser.add_argument("--out", type=Path, default=default_folder(), help="where to write (default %(default)s)")
    options = parser.parse_args(argv)
    if options.flavour == "tensorrt_rtx" and not set(options.target or ()) <= set(RTX_KNOWN):
        parser.error(f"argument --target: expected some of {','.join(RTX_KNOWN)}, got {','.join(options.target)}")
    options.only = options.only or models
    return options


def some_targets(text: str) -> tuple[str, ...]:
    """`sm89,sm86` -> (sm86, sm89), in ascending order and each once."""
    wanted = {part.strip() for part in text.split(",")}
    if not all(part.startswith("sm") and part[2:].isdigit() for part in wanted):
        raise argparse.ArgumentTypeError(f"expected names such as sm89, separated by commas, got {text}")
    return tuple(sorted(wanted, key=lambda part: int(part[2:])))


def list_hashes(manifests: Sequence[ModelManifest]) -> None:
    """Print one line per ONNX file."""
    for manifest in manifests:
        for name, sha256 in manifest.files.items():
            print(f"{manifest.name:10} {manifest.side_px}²  {name:17} sha256 {sha256}")


def list_engines(manifests: Sequence[ModelManifest], folder: Path) -> None:
    """Print a table of the models' engines, if there are any."""
    from engine.build.artefacts import table_lines

    lines = table_lines(find_engines(manifests, folder))
    if lines:
        print(f"\nEngines in {folder}:", *lines, sep="\n", flush=True)


def find_engines(manifests: Sequence[ModelManifest], folder: Path) -> list[tuple[EngineRecord, str]]:
    """Return (engine, fault) of everything that belongs to these models, or to nobody."""
    from engine.build.artefacts import stale_reason
    from engine.runtime import engine_file

    known = {manifest.name: manifest for manifest in manifests}
    records = [r for r in engine_file.list_engines(folder) if r.key is None or r.key.model in known]
    return [(record, stale_reason(record, known, installed_versions())) for record in records]


def installed_versions() -> dict[str, str]:
    """Return the versions of the builders that are installed, without loading them."""
    import importlib.metadata

    from engine.runtime.tensorrt_library import FLAVOURS

    versions = {}
    for flavour in FLAVOURS:
        try:
            versions[flavour] = importlib.metadata.version(flavour)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def report_parity(manifests: Sequence[ModelManifest]) -> None:
    """Print how far each model's graph to build is from the exported one; PrecisionLost below 38 dB."""
    from engine.build.parity import measure_parity, require_parity

    for manifest in manifests:
        rows = measure_parity(manifest)
        for row in rows:
            print(
                f"{manifest.name}: {row.output} in {row.precision} through {row.library}: PSNR {row.psnr_db:.1f} dB, "
                f"difference at most {row.max_diff:.2g}, {row.mean_diff:.2g} in the mean",
                flush=True,
            )
        require_parity(manifest, rows)


def check_graphs(manifests: Sequence[ModelManifest], flavour: str) -> None:
    """Let the builder read every graph and print how many layers it makes; say so where there is no builder."""
    from engine.build.engines import frame_graphs, read_graph
    from engine.build.flavour import load_flavour
    from engine.errors import BackendUnavailable

    try:
        library = load_flavour(flavour)
    except BackendUnavailable as error:
        print(f"Operators were not checked. {error}", flush=True)
        return
    for manifest in manifests:
        for graph in frame_graphs(manifest):
            name = str(manifest.folder / f"{graph}.onnx")
            count = library.parse(read_graph(manifest, graph), name=name).layer_count
            print(f"{manifest.name}: {graph} is read by {flavour} {library.version}: {count} layers", flush=True)


def check_engines(manifests: Sequence[ModelManifest], folder: Path) -> None:
    """Print what is wrong with the engines; EngineMismatch if one of them is truncated or damaged."""
    from engine.build.artefacts import stale_sentence
    from engine.errors import EngineMismatch

    damaged = 0
    for record, fault in find_engines(manifests, folder):
        if fault:
            print(stale_sentence(record, fault), flush=True)
            damaged += bool(record.fault)
    if damaged:
        raise EngineMismatch(f"{damaged} engine file{'s are' if damaged > 1 else ' is'} of no use, see above.")


def build(manifests: Sequence[ModelManifest], options: argparse.Namespace) -> None:
    """Build every model's engines, print where they are, and a table at the end."""
    from engine.build.engines import build_engine, frame_graphs
    from engine.build.flavour import load_flavour
    from engine.build.profiles import PROFILES

    flavour: Flavour = load_flavour(options.flavour)  # say that it is missing before announcing any work
    targets = flavour.architectures(options.target)
    for manifest in manifests:
        for graph in frame_graphs(manifest):
            label = f"{manifest.name} {graph}"
            print(f"{label}: {flavour.name} {flavour.version} for {', '.join(targets)} …", flush=True)
            started_s = time.monotonic()
            engine = build_engine(
                manifest,
                graph,
                options.out,
                flavour=flavour,
                architectures=targets,
                plan=PROFILES[options.profile],
                report=show_progress(label),
            )
            done = f"built in {time.monotonic() - started_s:.0f} s" if engine.fresh else "there already"
            if engine.mended:
                done += f" (the one that was there {engine.mended})"
            print(f"{label}: {done}, {engine.size_bytes / 1e6:.1f} MB: {engine.path}", flush=True)
    list_engines(manifests, options.out)


def show_progress(label: str) -> Callable[[str, float], None]:
    """Return what draws the progress of a build: one line that overwrites itself, and nothing where that cannot be."""

    def draw(phase: str, part: float) -> None:
        if sys.stderr.isatty():
            print(f"\r{label}: {part:4.0%} {phase[:60]:60}", end="\r", file=sys.stderr, flush=True)

    return draw


def say(text: str) -> None:
    """Print a line that is no result."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
