# SPDX-License-Identifier: Apache-2.0
"""Back-ends that run the exported model: OpenVINO (default on CPUs), TensorRT (NVIDIA GPUs) and torch (reference)."""

__all__: list[str] = []
