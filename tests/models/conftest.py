# SPDX-License-Identifier: Apache-2.0
"""One small exported model for all tests that look at one: exporting takes longer than all they do with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.runtime.manifest import ModelManifest
from tests.helpers.small_export import export_small, load_small

__all__: list[str] = []


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small model, with its weights; made by whichever process of a run is the first to ask."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of all workers
    return export_small(root)


@pytest.fixture(scope="session")
def small_model(small_folder: Path) -> ModelManifest:
    """The small model as the back-ends take it."""
    return load_small(small_folder)
