# SPDX-License-Identifier: Apache-2.0
"""An NVIDIA GPU's memory, clocks, heat and power while something is measured, by `nvidia-smi`, which the driver brings.

A thread reads what the program prints twice a second; it starts and ends with the measurement.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["GpuFigures", "GpuWatch", "runs_on_nvidia"]

_FIELDS = (
    "name", "driver_version", "memory.total", "memory.used", "clocks.sm", "clocks.mem", "temperature.gpu", "power.draw",
)  # fmt: skip
_PERIOD_MS = 500
_JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """What a GPU did. memory in MiB: used at the first look and at most, other programs included; NaN: not told.

    clocks in MHz: the median and the least, which tells of throttling. temperature_c: at most. power_w: median.
    """

    name: str
    driver: str
    memory_total_mb: float
    memory_before_mb: float
    memory_mb: float
    sm_mhz: float
    least_sm_mhz: float
    memory_mhz: float
    temperature_c: float
    power_w: float

    def spell(self) -> str:
        """Return all of it as one line."""
        return (
            f"{self.name}, driver {self.driver}: {self.memory_mb:.0f} of {self.memory_total_mb:.0f} MiB at most, "
            f"{self.memory_before_mb:.0f} before; SM clock {self.sm_mhz:.0f} MHz, {self.least_sm_mhz:.0f} at least, "
            f"memory clock {self.memory_mhz:.0f}; {self.temperature_c:.0f} °C, {self.power_w:.0f} W"
        )


def runs_on_nvidia(engine: str) -> bool:
    """Whether an engine's description names a back-end on an NVIDIA GPU."""
    return engine.startswith(("tensorrt", "torch")) and " on cpu" not in engine


class GpuWatch:
    """Watches one GPU between `__enter__` and `__exit__`; without `nvidia-smi` it sees nothing.

    Args:
        index: of the GPU, as the driver counts them.
    """

    def __init__(self, index: int = 0) -> None:
        self._index = index
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._rows: list[list[str]] = []
        self._first = threading.Event()

    @property
    def figures(self) -> GpuFigures | None:
        """What was seen; None where nothing was."""
        rows = [row for row in self._rows if len(row) == len(_FIELDS)]
        if not rows:
            return None
        total, used, sm, memory, heat, power = (
            np.array([_number(row[column]) for row in rows]) for column in range(2, len(_FIELDS))
        )
        return GpuFigures(
            name=rows[0][0],
            driver=rows[0][1],
            memory_total_mb=float(total[0]),
            memory_before_mb=float(used[0]),
            memory_mb=float(used.max()),
            sm_mhz=float(np.median(sm)),
            least_sm_mhz=float(sm.min()),
            memory_mhz=float(np.median(memory)),
            temperature_c=float(heat.max()),
            power_w=float(np.median(power)),
        )

    def __enter__(self) -> Self:
        program = shutil.which("nvidia-smi")
        if program is None:
            return self
        self._process = subprocess.Popen(
            [
                program,
                f"--query-gpu={','.join(_FIELDS)}",
                "--format=csv,noheader,nounits",
                f"--id={self._index}",
                f"--loop-ms={_PERIOD_MS}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(self._process.stdout,), name="gpu-watch", daemon=True)
        self._thread.start()
        self._first.wait(_JOIN_S)  # what was in use before
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is None or self._thread is None:
            return
        self._process.terminate()
        self._thread.join(_JOIN_S)
        self._process.wait(_JOIN_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._rows.append([part.strip() for part in line.split(",")])
            self._first.set()
        self._first.set()  # it ended without a word


def _number(text: str) -> float:
    """Return a figure; NaN for "[N/A]", which some GPUs give for power."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
