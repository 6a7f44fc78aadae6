# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.build int8 MODEL`: the decoder in 8-bit integers, and whether it is worth it.

Ranges are taken from built-in source sets driven by the built-in clip, or from what is given with --set and --driving:
training data, never what is judged on. Then float32, bfloat16 and int8 draw other sets, driven by another clip, in
turns. With --write the graph goes beside the model and into its manifest, but only if its worst frame is within 38 dB
of float32 and it is the fastest: then OpenVINO uses it by itself on processors with bfloat16.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from engine.app.demo import builtin_clip
from engine.build.calibration import RecordedFrame, record_frames
from engine.build.graph import sha256_of, write_manifest
from engine.build.int8 import Judged, judge, open_precisions, quantise, require_convolutions, require_worth
from engine.errors import PuppeteerError
from engine.runtime.manifest import INT8_GRAPH, ModelManifest, list_models, load_manifest
from engine.sources import list_source_sets

if TYPE_CHECKING:
    from engine.runtime.openvino_runner import OpenVinoRunner

__all__ = ["main"]

_SHEET_ROWS = 4
_DIFFERENCE_GAIN = 16  # times, in the sheet: what is seen there is far below what can be seen in the picture


def main(arguments: list[str] | None = None) -> int:
    """Quantise, judge, print a table, and write where asked to; returns the exit code."""
    options = _parse(arguments)
    try:
        manifest = load_manifest(options.model)
        manifest.verify()
        if not options.products or manifest.learned:
            require_convolutions(manifest)
        seen, unseen = _sets(options)
        calibration = record_frames(manifest, seen, options.driving, frames=options.frames)
        graph = quantise(manifest, calibration, products=options.products)
        judged = record_frames(manifest, unseen, options.judge_driving, frames=max(8, options.frames // 2))
        with tempfile.TemporaryDirectory(prefix="bunraku-int8-", ignore_cleanup_errors=True) as folder:
            runners = open_precisions(manifest, graph, Path(folder))
            rows = judge(runners, judged, rounds=options.rounds)
            _say(f"ranges from {len(calibration)} frames of {', '.join(seen)}")
            _say(f"judged on {len(judged)} frames of {', '.join(unseen)}")
            _print(rows)
            if options.sheet:
                _draw_sheet(runners, judged).save(options.sheet)
                _say(f"pictures: {options.sheet}")
        if options.write:
            require_worth(manifest, rows)
            _write(manifest, graph)
    except PuppeteerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engine.build int8", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    clip = builtin_clip()
    parser.add_argument("model", choices=list_models(), metavar="MODEL", help=f"one of: {', '.join(list_models())}")
    parser.add_argument("--set", action="append", metavar="NAME|PATH", help="take ranges from these sets")
    parser.add_argument("--driving", type=Path, default=clip, metavar="FILE", help="… driven by this clip")
    parser.add_argument("--judge-set", action="append", metavar="NAME|PATH", help="judge on these sets")
    parser.add_argument("--judge-driving", type=Path, default=clip, metavar="FILE", help="… driven by this clip")
    parser.add_argument("--frames", type=int, default=96, help="to take ranges from (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="of timing (default %(default)s)")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="write float32, int8 and their difference")
    parser.add_argument("--write", action="store_true", help="keep the graph, if it is good and the fastest")
    parser.add_argument(
        "--products",
        action="store_true",
        help="quantise the products of matrices in the geometry, to see what it costs",
    )
    options = parser.parse_args(arguments)
    if options.products and options.write:
        parser.error("--products is for looking, not for --write")
    return options


def _sets(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the sets for ranges and those for judging; the built-in ones are shared out where none is named."""
    builtin = [info.name for info in list_source_sets() if info.builtin and not info.problem]
    half = (len(builtin) + 1) // 2
    return options.set or builtin[:half], options.judge_set or builtin[half:]


def _print(rows: Sequence[Judged]) -> None:
    _say(f"{'decoder':10} {'worst dB':>9} {'median dB':>9} {'p50 ms':>8} {'time / fp32':>11}")
    for row in rows:
        psnr = f"{row.psnr_db:9.1f} {row.median_psnr_db:9.1f}"
        _say(f"{row.precision:10} {psnr} {row.p50_ms:8.2f} {row.ratio:10.2f}×")


def _draw_sheet(runners: Mapping[str, OpenVinoRunner], frames: Sequence[RecordedFrame]) -> Image.Image:
    """Return rows of float32, int8, and their difference, magnified, over grey."""
    rows = []
    for index in np.linspace(0, len(frames) - 1, min(_SHEET_ROWS, len(frames))).astype(int):
        frame = frames[index]
        exact, int8 = (_picture(runners[name].animate(frame.sources, frame.inputs)) for name in ("fp32", "int8"))
        rows.append(np.concatenate([exact, int8, 127.5 + _DIFFERENCE_GAIN * (int8 - exact)], 1))
    return Image.fromarray(np.clip(np.concatenate(rows), 0, 255).astype(np.uint8))


def _picture(portrait: np.ndarray) -> Any:
    """Return (4, R, R) in [-1, 1] over grey as (R, R, 3), 0–255."""
    rgb, alpha = portrait[:3].transpose(1, 2, 0) * 127.5 + 127.5, portrait[3, ..., None] / 2 + 0.5
    return rgb * alpha + 90.0 * (1 - alpha)


def _write(manifest: ModelManifest, graph: bytes) -> None:
    """Put the graph beside the model and into its manifest."""
    (manifest.folder / INT8_GRAPH).write_bytes(graph)
    facts = json.loads((manifest.folder / "manifest.json").read_text(encoding="utf-8"))
    facts["files"][INT8_GRAPH] = sha256_of(manifest.folder / INT8_GRAPH)
    write_manifest(manifest.folder, facts)
    _say(f"written: {manifest.folder / INT8_GRAPH} ({len(graph) / 1e6:.1f} MB)")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
