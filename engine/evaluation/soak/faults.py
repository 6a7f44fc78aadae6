# SPDX-License-Identifier: Apache-2.0
"""The faults a soak run injects, and the switchboard by which it does: stand-ins around real parts ask it. Any thread.

Only evaluation and tests import this; nothing of it is in the way of a normal run.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import InvalidSetting

__all__ = ["FAULTS", "Fault", "Switchboard", "parse_faults"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. where: what it happens to. reason: the reason for `degraded` it must show up as; empty where
    the pipeline is to go on as if nothing were. longest_s: how long it is left on at most."""

    name: str
    where: str
    reason: str = ""
    longest_s: float = 4.0


_ALL = (
    Fault("unplugged", "camera", "camera lost"),
    Fault("stalled", "camera", "camera stalled"),
    Fault("driver-error", "camera", "camera lost"),
    Fault("black", "camera", "camera black"),
    Fault("frozen", "camera", "camera frozen"),
    Fault("slow-camera", "camera", "camera slow"),
    Fault("other-size", "camera"),
    Fault("no-face", "scene", "tracking lost"),
    Fault("two-faces", "scene"),
    Fault("poster", "scene"),
    Fault("hand", "scene"),
    Fault("tracker-error", "tracker", "engine recovering"),
    Fault("tracker-nan", "tracker", "engine recovering"),
    Fault("model-error", "model", "engine recovering"),
    Fault("model-nan", "model", "engine recovering"),
    Fault("gpu-lost", "model", "engine recovering"),
    Fault("out-of-memory", "model", "engine recovering"),
    Fault("sink-lost", "sink", "virtual camera lost"),
    Fault("sink-slow", "sink"),
    Fault("disk-full", "sink", "mp4 stopped"),
)
FAULTS = {fault.name: fault for fault in _ALL}


class Switchboard:
    """Which faults are on now; `changed` wakes whoever plays a fault that is over. Thread: any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._on: frozenset[str] = frozenset()

    def set(self, name: str, on: bool) -> None:
        """Turn a fault on or off."""
        with self._changed:
            self._on = self._on | {name} if on else self._on - {name}
            self._changed.notify_all()

    def on(self, name: str) -> bool:
        """Whether a fault is on."""
        return name in self._on

    def wait_off(self, name: str, timeout_s: float) -> bool:
        """Wait until a fault is off; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: name not in self._on, timeout_s)


def parse_faults(text: str) -> Sequence[Fault]:
    """Return the faults of a text such as `unplugged,model-nan`, `camera`, `all` or `none`.

    Raises:
        InvalidSetting: there is no such fault or group.
    """
    if text == "none":
        return ()
    found: dict[str, Fault] = {}
    for name in (part.strip() for part in text.split(",")):
        chosen = [fault for fault in _ALL if name in ("all", fault.name, fault.where)]
        if not chosen:
            groups = sorted({fault.where for fault in _ALL})
            raise InvalidSetting(
                f"There is no fault '{name}'.",
                hint=f"Choose all, none, a group ({', '.join(groups)}) or: {', '.join(FAULTS)}.",
                name="faults",
                value=name,
            )
        found.update((fault.name, fault) for fault in chosen)
    return tuple(found.values())
