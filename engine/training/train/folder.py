# SPDX-License-Identifier: Apache-2.0
"""The folder of a run, as rank 0 writes it.

    checkpoint.safetensors    everything an exact resume needs
    weights.safetensors       the averaged weights of that checkpoint
    best.safetensors          those with the lowest dev loss so far
    log.jsonl, events.out.*   the log, and the same for TensorBoard
    preview_SAMPLES.png       dev samples, to be looked at

What cannot be written while training goes on is a warning: hours of work are worth more than a file that is written
again a few minutes later. At the end it is an error.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from engine.errors import DiskFull, InvalidSetting, OutputUnwritable
from engine.training.train.checkpoint import CHECKPOINT, replace_file, write_checkpoint
from engine.training.train.journal import Journal
from engine.training.train.preview import PreviewRow, draw_preview, to_png

__all__ = ["BEST", "WEIGHTS", "RunFolder", "make_folder"]

log = logging.getLogger(__name__)

WEIGHTS, BEST = "weights.safetensors", "best.safetensors"


def make_folder(path: Path, *, resumed: bool) -> None:
    """Make the folder of a run and see that it can be written, before anything is computed.

    Raises:
        InvalidSetting: it holds a run already, and this is to be a new one. OutputUnwritable: it cannot be written.
    """
    if (path / CHECKPOINT).exists() and not resumed:
        what = f"The folder holds a training run already: {path}."
        raise InvalidSetting(what, hint="Go on with it by --resume, or choose another folder.", path=str(path))
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".probe.part"
        probe.write_bytes(b"")
        probe.unlink()
        for left in path.glob("*.part.safetensors"):  # by a kill, amid writing
            left.unlink()
    except OSError as error:
        what = f"The run's folder cannot be written ({error.strerror}): {path}."
        raise OutputUnwritable(what, hint="Choose another folder.", path=str(path)) from error


class RunFolder:
    """Writes the files of a run.

    Args:
        samples: rebuilt so far. write_weights: how a model is written; raises OSError.
    Raises:
        OutputUnwritable: the log cannot be opened.
    """

    def __init__(self, path: Path, *, samples: int, write_weights: Callable[[nn.Module, Path], None]) -> None:
        self.path, self._write_weights = path, write_weights
        try:
            self.journal = Journal(path, samples=samples)
        except OSError as error:
            what = f"The run's log cannot be written ({error.strerror}): {path}."
            raise OutputUnwritable(what, hint="Choose another folder.", path=str(path)) from error

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], model: nn.Module, *, last: bool) -> None:
        """Write checkpoint and weights.

        Args:
            last: whether this is the end of the run.
        Raises:
            DiskFull, OutputUnwritable: at the end only; the files of the last time are untouched.
        """

        def write() -> None:
            write_checkpoint(self.path, tensors, facts)
            replace_file(self.path / WEIGHTS, lambda path: self._write_weights(model, path))

        self._guard("checkpoint", write, last=last)

    def save_best(self, model: nn.Module) -> None:
        """Write the weights that are the best ones so far."""
        self._guard("best weights", lambda: replace_file(self.path / BEST, lambda p: self._write_weights(model, p)))

    def show(self, samples: int, rows: Sequence[PreviewRow]) -> None:
        """Write a preview sheet, after so many samples."""
        sheet = draw_preview(rows)
        png = to_png(sheet)
        path = self.path / f"preview_{samples:08d}.png"
        self._guard("preview sheet", lambda: replace_file(path, lambda part: part.write_bytes(png)))
        self.journal.picture(samples, "dev/preview", png, size_wh=sheet.size)

    def close(self) -> None:
        """Close the log."""
        self.journal.close()

    def _guard(self, what: str, write: Callable[[], None], *, last: bool = False) -> None:
        try:
            write()
        except OSError as error:
            reason = error.strerror or str(error)
            if not last:
                log.warning("The %s cannot be written, training goes on with the last one kept: %s", what, reason)
                return
            kind = DiskFull if error.errno == errno.ENOSPC else OutputUnwritable
            said = f"The {what} of the run's end cannot be written ({reason}); the last good one is kept: {self.path}."
            raise kind(said, hint="Make room and go on with --resume.", path=str(self.path)) from error
