# SPDX-License-Identifier: Apache-2.0
"""Artefacts made ahead of time: ONNX graphs and their manifest."""

__all__: list[str] = []
