# SPDX-License-Identifier: Apache-2.0
"""Torch models, for training and export only; the running app never imports this package."""

__all__: list[str] = []
