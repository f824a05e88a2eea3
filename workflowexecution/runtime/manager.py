"""Services that start in order, stop in reverse, and fall together."""

import asyncio
import dataclasses
import os
import signal
from collections.abc import Awaitable, Callable, Sequence

import structlog

from workflowexecution.runtime import clock

_CANCEL_GRACE_S = 5.0
_EXIT_STUCK = 70

_log = structlog.get_logger(__name__)


class ServiceEnded(Exception):
    """A service returned though nobody asked it to."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One part of the program that runs as long as the program does; names are unique.

    `run` does not return until it is cancelled, or `stop` was called. `ready` is awaited before the
    next service starts. `stop` asks for a graceful end within the grace; without it, `run` is
    cancelled when its turn to stop comes.
    """

    name: str
    run: Callable[[], Awaitable[object]]
    ready: Callable[[], Awaitable[object]] | None = None
    stop: Callable[[], None] | None = None


def causes(error: BaseException) -> list[BaseException]:
    """Return the errors that a group of groups holds, without the groups."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in causes(inner)]
    return [error]


class Manager:
    """Runs services until told to stop, or until one of them fails.

    Each service starts when the one before it is ready, and is stopped before it; so probes come
    first and workers last. A service that raises, or returns unasked, cancels all at once, without
    any grace: whoever may not write any more must not finish its work.

    Stopping is bounded: all services together have the grace for ending by themselves, then they
    are cancelled; who survives that too for five seconds ends with the process.
    """

    def __init__(
        self,
        *,
        services: Sequence[Service],
        shutdown_grace_s: float,
        exit_now: Callable[[int], object] = os._exit,
    ) -> None:
        """Put the services into the order of their start.

        Args:
            services: first started, last stopped first.
            shutdown_grace_s: for all services together, from the stop on.
            exit_now: ends the process at once with a code.
        """
        self._services = services
        self._grace_s = shutdown_grace_s
        self._exit_now = exit_now
        self._stopping = asyncio.Event()
        self._grace_ends_at = float("inf")
        self._last_resort: asyncio.TimerHandle | None = None
        self._let_go: set[str] = set()

    def stop(self) -> None:
        """Begin to stop; a second call changes nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._grace_ends_at = clock.loop_time() + self._grace_s
        self._bound(self._grace_s)

    async def run(self) -> None:
        """Run all services until `stop`, SIGTERM or SIGINT; a second signal exits at once.

        Raises:
            BaseExceptionGroup: a service failed; `causes` gives the errors.
        """
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            await self._nest(list(self._services))
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
            if self._last_resort is not None:
                self._last_resort.cancel()

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            self._exit_now(128 + number)
            return
        _log.info("Stopping", signal=number.name, grace_s=self._grace_s)
        self.stop()

    def _bound(self, grace_s: float) -> None:
        """End the process if the services do not, once they are to; the first bound counts."""
        if self._last_resort is None:
            self._last_resort = asyncio.get_running_loop().call_later(
                grace_s + _CANCEL_GRACE_S, self._exit_now, _EXIT_STUCK
            )

    async def _nest(self, services: list[Service]) -> None:
        """Run the first service around all others."""
        if not services:
            await self._stopping.wait()
            return
        service, *inner = services
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._guard(service), name=service.name)
            if await self._until_ready(service, group):
                _log.debug("Service is ready", service=service.name)
                await self._nest(inner)
            await self._end(service, task)

    async def _guard(self, service: Service) -> None:
        """Run a service and object to its end, unless that was asked for."""
        try:
            await service.run()
        finally:
            if service.name not in self._let_go:
                self._bound(0.0)
        if service.name not in self._let_go:
            raise ServiceEnded(service.name)

    async def _until_ready(self, service: Service, group: asyncio.TaskGroup) -> bool:
        """Wait until the service is ready, or everything is to stop."""
        if service.ready is None:
            return not self._stopping.is_set()
        ready = group.create_task(_finish(service.ready), name=f"{service.name}-ready")
        stopping = group.create_task(_finish(self._stopping.wait), name="stopping")
        await asyncio.wait({ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        stopping.cancel()
        return not self._stopping.is_set()

    async def _end(self, service: Service, task: asyncio.Task[None]) -> None:
        """Let a service end within what is left of the grace, then cancel it."""
        self._let_go.add(service.name)
        if service.stop is not None:
            service.stop()
            left_s = self._grace_ends_at - clock.loop_time()
            done, _ = await asyncio.wait({task}, timeout=max(0.0, left_s))
            if not done:
                _log.warning("Service did not end within the grace", service=service.name)
        task.cancel()


async def _finish(wait: Callable[[], Awaitable[object]]) -> None:
    await wait()
