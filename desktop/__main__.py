# SPDX-License-Identifier: Apache-2.0
"""`python -m desktop`."""

from __future__ import annotations

import sys

from desktop.app import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
