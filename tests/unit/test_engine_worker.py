# SPDX-License-Identifier: Apache-2.0
"""Workers: errors reach their owner, stopping is a request, joining has an end."""

from __future__ import annotations

import threading

from engine.errors import Closed
from engine.worker import Worker


def test_error_reaches_the_owner() -> None:
    errors: list[BaseException] = []

    def body(stopping: threading.Event) -> None:
        raise KeyError("lost")

    worker = Worker("broken", body, on_error=errors.append)
    worker.start()
    assert worker.join(10)
    assert isinstance(errors[0], KeyError)


def test_closed_is_a_normal_end() -> None:
    errors: list[BaseException] = []

    def body(stopping: threading.Event) -> None:
        raise Closed

    worker = Worker("closed", body, on_error=errors.append)
    worker.start()
    assert worker.join(10)
    assert errors == []


def test_stop_is_a_request_and_join_reports_a_stuck_thread() -> None:
    release = threading.Event()
    worker = Worker("stuck", lambda stopping: release.wait() and None, on_error=lambda error: None)
    assert worker.join(0), "never started: nothing to wait for"
    worker.start()
    worker.stop()
    assert worker.stopping.is_set()
    assert not worker.join(0.01)
    assert worker.alive
    release.set()
    assert worker.join(10)
    assert not worker.alive


def test_joining_itself_does_not_wait() -> None:
    joined: list[bool] = []
    workers: list[Worker] = []
    ready = threading.Event()

    def body(stopping: threading.Event) -> None:
        ready.wait(10)
        joined.append(workers[0].join(10))

    workers.append(Worker("self", body, on_error=lambda error: None))
    workers[0].start()
    ready.set()
    assert workers[0].join(10)
    assert joined == [False]


def test_a_worker_that_has_run_holds_on_to_nothing() -> None:
    """Otherwise owner and worker hold each other, and an encoder's threads live until a garbage collection."""
    import gc
    import weakref

    class Owner:
        def __init__(self) -> None:
            self.worker = Worker("owned", self.run, on_error=lambda error: None)

        def run(self, stopping: threading.Event) -> None:
            return

    gc.disable()
    try:
        owner = Owner()
        known = weakref.ref(owner)
        owner.worker.start()
        assert owner.worker.join(30)
        del owner
        assert known() is None
    finally:
        gc.enable()
