"""The thread that drives a data path: waits, pumps both sides in turn, runs what others ask for.

Everything that touches the data path happens here, so nothing in it needs a lock. Other threads
hand in functions with `call`.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.datapath.pipeline import PythonDataPath

Result = TypeVar("Result")


class PacketLoop:
    """Runs one data path until stopped."""

    def __init__(self, path: PythonDataPath) -> None:
        self._path = path
        self._asked: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread = threading.Thread(target=self._run_guarded, name="packets", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the thread."""
        self._stopping = True
        self._ring()
        if self._thread is not None:
            self._thread.join()
        os.close(self._wake)

    def call(self, function: Callable[[], Result]) -> Future[Result]:
        """Run `function` between bursts; the future has its result."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001  handed to whoever asked
                future.set_exception(error)

        self._asked.append(run)
        self._ring()
        return future

    def _ring(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _run_guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.failure = error
            raise

    def run(self) -> None:
        """Drive the data path in this thread until `stop`."""
        path = self._path
        epoll = select.epoll()
        tun_fd = path.tun.fd
        sources = path.sources()
        for fd in (tun_fd, *sources, self._wake):
            epoll.register(fd, select.EPOLLIN)
        with epoll:
            while not self._stopping:
                due = path.deadline()
                wait = -1.0 if due is None else max(0.0, due - time.monotonic())
                ready = epoll.poll(wait, len(sources) + 2)
                now = time.monotonic()
                for fd, _ in ready:
                    if fd == tun_fd:
                        path.from_host(now)
                    elif fd == self._wake:
                        os.eventfd_read(self._wake)
                    else:
                        sources[fd](now)
                # What those bursts made due is seen on the next way round, which does not wait.
                if due is not None and due <= now:
                    path.on_deadline(now)
                while self._asked:
                    self._asked.popleft()()
