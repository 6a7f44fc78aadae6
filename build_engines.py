#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build the engines of the shipped models for NVIDIA RTX GPUs, ahead of time and without a GPU.

    python build_engines.py                        check the models, build what is missing
    python build_engines.py --list                 the models and the hashes of their ONNX files
    python build_engines.py --check                compare those hashes with the files, build nothing
    python build_engines.py --only lite --target sm89 --out engines/

Run it with the Python that Bunraku is installed for (`.venv/bin/python` after `python3 run.py`). Exit codes are those
of `bunraku`: 0 done, 2 wrong option, 6 cannot write, 7 a model is damaged or the builder is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            return 0
        for manifest in manifests:
            manifest.verify()
            print(f"{manifest.name}: {len(manifest.files)} files are as their manifest says", flush=True)
        if not options.check:
            build(manifests, options.out, targets=options.target)
    except PuppeteerError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("Stopped.")
        return INTERRUPTED
    return 0


def parse(argv: Sequence[str] | None, models: list[str]) -> argparse.Namespace:
    """Return the options; ends the program with code 2 where they are wrong."""
    from engine.build.rtx import TARGETS, default_folder

    def some_targets(text: str) -> tuple[str, ...]:
        wanted = {part.strip() for part in text.split(",")}
        if not wanted <= set(TARGETS):
            raise argparse.ArgumentTypeError(f"expected some of {','.join(TARGETS)}, got {text}")
        return tuple(target for target in TARGETS if target in wanted)

    parser = argparse.ArgumentParser(
        prog="build_engines.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="list the models and their hashes")
    action.add_argument("--check", action="store_true", help="check the models' files and build nothing")
    parser.add_argument("--only", action="append", choices=models, metavar="MODEL", help=f"one of: {', '.join(models)}")
    parser.add_argument(
        "--target", type=some_targets, default=TARGETS, help=f"GPU architectures (default {','.join(TARGETS)})"
    )
    parser.add_argument("--out", type=Path, default=default_folder(), help="where to write (default %(default)s)")
    options = parser.parse_args(argv)
    options.only = options.only or models
    return options


def list_hashes(manifests: Sequence[ModelManifest]) -> None:
    """Print one line per ONNX file."""
    for manifest in manifests:
        for name, sha256 in manifest.files.items():
            print(f"{manifest.name:10} {manifest.side_px}²  {name:13} sha256 {sha256}")


def build(manifests: Sequence[ModelManifest], folder: Path, *, targets: Sequence[str]) -> None:
    """Build every model's engine and print where it is."""
    from engine.build.rtx import build_engine, load_builder

    load_builder()  # say that it is missing before announcing any work
    for manifest in manifests:
        print(f"{manifest.name}: {', '.join(targets)} …", flush=True)
        started_s = time.monotonic()
        engine = build_engine(manifest, folder, targets=targets)
        done = f"built in {time.monotonic() - started_s:.0f} s" if engine.fresh else "there already"
        print(f"{manifest.name}: {done}, {engine.size_bytes / 1e6:.1f} MB: {engine.path}", flush=True)


def say(text: str) -> None:
    """Print a line that is no result."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
