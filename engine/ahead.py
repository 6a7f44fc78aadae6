# SPDX-License-Identifier: Apache-2.0
"""Work on one item beside the making of the next: what commands that nobody watches live gain time with. Any thread.

A device computes by itself once it is started. Meanwhile the caller makes the next item (reads and tracks a frame) and
sees to the last one (composes, marks, encodes). At most one item is with the device and one with the caller.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

__all__ = ["one_ahead"]

Item = TypeVar("Item")
Made = TypeVar("Made")


def one_ahead(
    items: Iterable[Item], *, start: Callable[[Item], None], finish: Callable[[Item], Made]
) -> Generator[tuple[Item, Made], None, None]:
    """Yield every item with what was made of it, in order; all calls are on the caller's thread.

    An item is started when the one before is finished, and the one before is handed out after that. Whatever is raised,
    Ctrl-C too, is raised where it would be without working ahead: after everything that came before it was handed out.

    Args:
        items: none of them None; making the next one may take time. start: begins an item and returns at once.
        finish: waits for what was started.

    Cleanup:
        an item that was started is finished even where nobody wants it any more: close the iterator
        (`contextlib.closing`) before what it works with.
    """
    source = iter(items)
    begun: Item | None = None
    try:
        while True:
            following: Item | None = None
            fault: BaseException | None = None
            try:
                following = next(source, None)  # beside what was begun
            except BaseException as error:  # noqa: BLE001 - raised below
                fault = error
            done: tuple[Item, Made] | None = None
            if begun is not None:
                mine, begun = begun, None
                done = mine, finish(mine)
            if following is not None:
                try:
                    start(following)
                    begun = following
                except BaseException as error:  # noqa: BLE001 - raised below
                    fault = error
            if done is not None:
                yield done  # beside what was begun
            if fault is not None:
                raise fault
            if begun is None:
                return
    finally:
        if begun is not None:
            with contextlib.suppress(Exception):
                finish(begun)
