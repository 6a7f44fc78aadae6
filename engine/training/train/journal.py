# SPDX-License-Identifier: Apache-2.0
"""What a run tells of itself: `log.jsonl`, one JSON object a line, and TensorBoard event files beside it.

Written by rank 0. A disk that is full costs log lines, not the run.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

__all__ = ["LOG", "Journal"]

LOG = "log.jsonl"

log = logging.getLogger(__name__)


class Journal:
    """Log files of one run; appends to what an earlier part of the run wrote.

    Args:
        samples: rebuilt so far; TensorBoard forgets what an earlier part wrote after them, as a killed run may have
            gone further than its checkpoint. Its axis "step" counts samples, so that runs with other batches compare.
    Raises:
        OSError: the files cannot be created.
    """

    def __init__(self, folder: Path, *, samples: int) -> None:
        self._complained = False
        path = folder / LOG
        cut_off = path.is_file() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
        self._lines = path.open("a", encoding="utf-8")
        if cut_off:  # by a kill, amid a line
            self._lines.write("\n")
        # Written here and not by torch.utils.tensorboard: its writer is a thread that dies of a full disk.
        name = f"events.out.tfevents.{int(time.time())}.{os.getpid()}.{samples}"
        self._file: BinaryIO = (folder / name).open("wb")
        self._events = RecordWriter(self._file)
        self._event(samples, file_version="brain.Event:2")
        if samples:
            self._event(samples + 1, session_log=SessionLog(status=SessionLog.START))

    def note(self, facts: Mapping[str, Any]) -> None:
        """Append a line; what is no finite number becomes null."""

        def write() -> None:
            self._lines.write(json.dumps(_plain(facts), allow_nan=False) + "\n")
            self._lines.flush()

        self._guard(write)

    def scalars(self, samples: int, values: Mapping[str, float]) -> None:
        """Show numbers in TensorBoard."""
        found = [Summary.Value(tag=tag, simple_value=v) for tag, v in values.items() if math.isfinite(v)]
        self._guard(lambda: self._event(samples, summary=Summary(value=found)))

    def picture(self, samples: int, tag: str, png: bytes, *, size_wh: tuple[int, int]) -> None:
        """Show a picture in TensorBoard."""
        width, height = size_wh
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        self._guard(lambda: self._event(samples, summary=Summary(value=[Summary.Value(tag=tag, image=image)])))

    def close(self) -> None:
        """End both files."""
        self._guard(self._lines.close)
        self._guard(self._file.close)

    def _event(self, samples: int, **content: Any) -> None:
        self._events.write(Event(wall_time=time.time(), step=samples, **content).SerializeToString())
        self._file.flush()

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            if not self._complained:
                log.warning("The log of the run cannot be written any more: %s", error.strerror or error)
            self._complained = True


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
