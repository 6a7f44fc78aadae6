# SPDX-License-Identifier: Apache-2.0
"""What OpenVINO does to the process around it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A process of its own: where this fails, it fails with a segmentation fault.
_A_DEVICE_DROPPED_ELSEWHERE = """
import signal, threading
from engine.runtime.openvino_device import OpenVinoDevice
devices = [OpenVinoDevice("CPU")]
other = threading.Thread(target=devices.clear)
other.start()
other.join()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal stacks")
def test_ctrl_c_is_heard_after_a_device_was_dropped_in_another_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _A_DEVICE_DROPPED_ELSEWHERE], capture_output=True, text=True, timeout=120
    )
    assert done.returncode != -signal.SIGSEGV, "the signal stack of the main thread was freed"
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
