# SPDX-License-Identifier: Apache-2.0
"""Make model files.

python -m engine.build WEIGHTS FOLDER   export a checkpoint of any model to ONNX with its manifest
python -m engine.build int8 MODEL       quantise a model's decoder to 8-bit integers, and judge it (int8 --help)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.build.export import export_model
from engine.build.export_learned import export_learned
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.learned_motion import LearnedMotion

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Export or quantise, and report the files written."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["int8"]:
        from engine.build.int8_cli import main as quantise

        return quantise(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m engine.build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, help="weights.safetensors of a trained or tuned model")
    parser.add_argument("folder", type=Path, help="where to write, e.g. assets/models/lite")
    parser.add_argument("--half", action="store_true", help="keep the weights as float16, and export what that leaves")
    options = parser.parse_args(arguments)
    model = load_checkpoint(options.weights).eval()
    options.folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(model, options.folder / "weights.safetensors", half=options.half)
    model = load_checkpoint(options.folder / "weights.safetensors").eval()
    export = export_learned if isinstance(model, LearnedMotion) else export_model
    manifest = export(model, options.folder)
    for name in manifest["files"]:
        size_kb = (options.folder / name).stat().st_size / 1024
        sys.stdout.write(f"{options.folder / name}  {size_kb:.0f} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
