# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: fixed seeds, folders of its own, and no unexpected log line."""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

__all__: list[str] = []

_SEED = 20221102

# Where a change is judged, the same examples every time; at a developer's desk hypothesis goes on looking.
settings.register_profile("judge", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("judge")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-gpu", action="store_true", help="fail instead of skipping where there is no NVIDIA GPU")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--require-gpu") or shutil.which("nvidia-smi"):
        return
    skip = pytest.mark.skip(reason="no NVIDIA GPU here (no nvidia-smi)")
    for item in items:
        if item.get_closest_marker("gpu") or item.get_closest_marker("trt"):
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep settings, caches, source sets and logs of whoever runs the tests out of them, and the tests out of those."""
    root: Path = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "CONFIG", "DATA", "STATE"):
            patch.setenv(f"XDG_{name}_HOME", str(root / name.lower()))
        yield


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(_SEED)
    np.random.seed(_SEED)  # noqa: NPY002 - whatever still draws from the global state must draw the same


class _Unexpected(logging.Handler):
    """Collects what our own modules log at WARNING or above."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] in ("engine", "desktop"):
            self.records.append(record)


@pytest.fixture(autouse=True)
def _logfail(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose code logs a warning that the test does not look at (with `caplog`)."""
    handler = _Unexpected()
    root = logging.getLogger()
    root.addHandler(handler)
    yield
    root.removeHandler(handler)
    if handler.records and "caplog" not in request.fixturenames:
        lines = "\n".join(f"{r.levelname} {r.name}: {r.getMessage()}" for r in handler.records)
        pytest.fail(f"unexpected log lines (use caplog where they are meant):\n{lines}", pytrace=False)
