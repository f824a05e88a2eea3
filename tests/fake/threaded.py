"""The fake cluster in a thread of its own, for programs that do not run an event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from tests.fake.cluster import FakeCluster

T = TypeVar("T")
_START_S = 10.0


class ThreadedCluster:
    """A running cluster in another thread; `call` is the only way to touch its inside."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cluster: FakeCluster) -> None:
        self._loop = loop
        self._cluster = cluster
        self.url = cluster.url

    def call(self, work: Callable[[FakeCluster], T]) -> T:
        """Do something with the cluster in its own thread, and return the result."""

        async def run() -> T:
            return work(self._cluster)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()


@contextlib.contextmanager
def running() -> Iterator[ThreadedCluster]:
    """Run a fake cluster until the end of the block.

    Raises:
        TimeoutError: it did not start; its thread has printed why.
    """
    started = threading.Event()
    found: list[ThreadedCluster] = []
    stop = asyncio.Event()

    async def serve() -> None:
        async with FakeCluster() as cluster:
            found.append(ThreadedCluster(asyncio.get_running_loop(), cluster))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="fake-cluster")
    thread.start()
    if not started.wait(_START_S):
        raise TimeoutError("the fake cluster did not start")
    try:
        yield found[0]
    finally:
        found[0].call(lambda _cluster: stop.set())
        thread.join()
