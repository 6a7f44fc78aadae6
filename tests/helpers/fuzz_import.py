# SPDX-License-Identifier: Apache-2.0
"""Feeds thousands of broken set files to the importer, in a process of its own with a memory limit.

Run by tests/property/test_sets_import_fuzz.py; prints one JSON line. Anything but a sentence of ours is reported.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import NoReturn

import numpy as np

from engine.errors import SourceError
from engine.sets.share import read_foreign
from tests.helpers.mutants import SEED_TOML, make_zip, mutate, seed_pictures

__all__: list[str] = []

_MEMORY = 2**30  # above what the interpreter has mapped at the start
_CASE_S = 5.0


class _Hang(BaseException):
    pass


def _alarm(_signal: int, _frame: object) -> NoReturn:
    raise _Hang


def _mapped() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def cases(rng: np.random.Generator, count: int):  # type: ignore[no-untyped-def]
    """Yield (kind, bytes of a zip): broken zips, broken pictures, broken set files, hostile mixtures."""
    pictures = seed_pictures()
    names = list(pictures)
    others = tuple(pictures.values())
    small = pictures["rgb.png"]
    whole = make_zip({"set.toml": SEED_TOML, "front.png": small, "left.jpg": pictures["plain.jpg"]})
    one = b'format = 2\n[[pictures]]\nfile = "p"\n'
    for number in range(count):
        kind = number % 4
        if kind == 0:
            yield "zip", mutate(whole, rng, others=others)
        elif kind == 1:
            yield "toml", make_zip({"set.toml": mutate(SEED_TOML, rng), "front.png": small, "left.jpg": small})
        else:
            name = names[int(rng.integers(len(names)))]
            yield f"picture {name}", make_zip({"set.toml": one, "p": mutate(pictures[name], rng, others=others)})


def main(count: int, seed: int, limit_s: float) -> dict[str, object]:
    """Run the cases and return what came of them."""
    rng = np.random.default_rng(seed)
    before = _mapped()
    resource.setrlimit(resource.RLIMIT_AS, (before + _MEMORY, before + _MEMORY))
    signal.signal(signal.SIGALRM, _alarm)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    slowest, done, started = 0.0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mara.bunraku.zip"
        for kind, data in cases(rng, count):
            path.write_bytes(data)
            begun = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, _CASE_S)
            try:
                read_foreign(path)
                outcomes["read"] += 1
            except SourceError as error:
                outcomes[type(error).__name__] += 1
                text = str(error)
                if "\n" in text or not text.strip().endswith((")", ".")) or len(text) > 1200:
                    wrong.append(f"{kind}: no sentence: {text[:300]!r}")
            except MemoryError:
                wrong.append(f"{kind}: memory")
            except _Hang:
                wrong.append(f"{kind}: longer than {_CASE_S} s")
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                wrong.append(f"{kind}: {type(error).__name__}: {error}"[:300])
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            slowest, done = max(slowest, time.monotonic() - begun), done + 1
            if wrong or time.monotonic() - started > limit_s:
                if wrong:
                    (Path(tempfile.gettempdir()) / "fuzz_failure.zip").write_bytes(data)
                break
    peak = _peak_mib()
    took = time.monotonic() - started
    return {"cases": done, "outcomes": outcomes, "wrong": wrong, "slowest_s": slowest, "took_s": took, "peak_mib": peak}


def _peak_mib() -> int:
    """Return this program's own peak; on Linux `ru_maxrss` begins with that of whoever started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with contextlib.redirect_stderr(io.StringIO()):
        found = main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    print(json.dumps(found))
