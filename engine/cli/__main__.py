# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.cli`: the command line without its console script."""

from __future__ import annotations

import sys

from engine.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
