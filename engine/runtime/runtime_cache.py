# SPDX-License-Identifier: Apache-2.0
"""What TensorRT for RTX compiles on the user's GPU when an engine is first run, kept for the next start.

An RTX engine holds for several GPUs; its kernels are finished on the one at hand when an execution context is made. The
library keeps them in a runtime cache, which it checks against GPU, driver and version by itself: one that does not fit
is ignored. `tensorrt` has no such cache, and this does nothing there. Thread: the one that makes contexts.

Not yet run on a GPU; the calls are those of tensorrt_rtx 1.7.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from engine.files import write_whole

__all__ = ["RuntimeCache"]

log = logging.getLogger(__name__)


class RuntimeCache:
    """The runtime cache of one engine file.

    Args:
        path: where it is kept, beside the engine; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._cache: Any = None
        self._config: Any = None
        self._known = b""

    def make_context(self, engine: Any) -> Any:
        """Return an execution context, or None where the library refuses; with what is known of its kernels."""
        if self._path is None:
            return engine.create_execution_context()
        if self._config is None:
            config = engine.create_runtime_config()
            if not hasattr(config, "create_runtime_cache"):
                self._path = None
                return engine.create_execution_context()
            self._config, self._cache = config, config.create_runtime_cache()
            self._load(self._path)
            config.set_runtime_cache(self._cache)
        return engine.create_execution_context(self._config)

    def save(self) -> None:
        """Write what was compiled, if that is more than was known; a folder that cannot be written is no failure."""
        if self._path is None or self._cache is None:
            return
        data = bytes(self._cache.serialize())
        if data == self._known:
            return
        try:
            write_whole(self._path, data)
            self._known = data
        except OSError as error:
            log.info("Compiled kernels are not kept for the next start: %s (%s)", error.strerror or error, self._path)

    def _load(self, path: Path) -> None:
        try:
            self._known = path.read_bytes()
        except OSError:
            return
        if not self._cache.deserialize(self._known):
            log.info("Kernels compiled earlier do not fit this GPU, driver or version; they are compiled again.")
            self._known = b""
