"""Leader election: of several processes the one that holds a Lease acts."""

import asyncio
import contextlib
import datetime
import random
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import structlog

from workflowexecution.runtime import client, clock, errors, fence, lease, resource

_WATCH_S = 290.0
_REFUSED_CAP_S = 3.0

_OVERTAKEN = (errors.Conflict, errors.AlreadyExists)
_NEVER_MENDED = (errors.BadRequest, errors.Invalid, errors.LeaseLost)
"""The server finds what is written wrong, which no second try changes; or all is over."""
_PASSING = (errors.ClusterError, TimeoutError)

_log = structlog.get_logger(__name__)


class Leases(Protocol):
    """The API as it is used; `client.Client` is one, with connections that nobody else uses."""

    async def get(
        self, resource: resource.Resource, key: resource.ObjectKey, /
    ) -> resource.JsonObject:
        """Read the lease from the server."""

    async def create(
        self, resource: resource.Resource, namespace: str, body: resource.JsonObject, /
    ) -> resource.JsonObject:
        """Create the lease."""

    async def merge_patch(
        self,
        resource: resource.Resource,
        key: resource.ObjectKey,
        patch: resource.JsonObject,
        /,
    ) -> resource.JsonObject:
        """Change the lease, if it still has the version."""

    def watch(
        self,
        resource: resource.Resource,
        /,
        *,
        namespace: str = "",
        field_selector: str = "",
        resource_version: str,
        timeout_s: float,
        idle_s: float,
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[list[client.WatchEvent]]]:
        """Receive the changes of the lease."""


class Watchdog(Protocol):
    """Ends the process if this is not put off in time; `watchdog.Watchdog` is one."""

    def arm(self, in_s: float) -> None:
        """End the process after so many seconds."""

    def disarm(self) -> None:
        """Let the process live."""


class Elector:
    """Takes the lease when it may be had, renews it, and gives it back after a clean stop.

    Waiting, it watches the lease, which costs a request in five minutes, and wakes when the lease
    is given back or has been seen unchanged for as long as it holds; where it cannot watch, it asks
    each retry period. Every write carries the version that was seen last, so of several who wake at
    once one gets the lease. Leading, it renews each retry period, and when a try fails or hangs, it
    tries again until the fence is shut. Then it raises, and the program must end: what a holder
    without a lease has in memory is not to be trusted.

    A lease that is deleted while it is held is made again. One that somebody has rewritten is lost.

    Lock-free: it changes only between awaits.

    Source: client-go tools/leaderelection/leaderelection.go.
    """

    def __init__(  # noqa: PLR0913 - keyword-only values and collaborators, each of its own
        self,
        *,
        client: Leases,
        key: resource.ObjectKey,
        identity: str,
        timing: lease.Timing,
        fence: fence.LeaseFence,
        watchdog: Watchdog,
        idle: Callable[[], bool],
        utc_now: Callable[[], datetime.datetime] = clock.utc_now,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """Put the parts together.

        Args:
            client: the way to the server; it must not ask the fence.
            key: namespace and name of the lease.
            identity: what this process calls itself.
            timing: how long the lease holds, and how it is kept.
            fence: opened by each good renewal; its clock is used here too.
            watchdog: put off by each good renewal.
            idle: whether nothing that leading allowed is still on its way, once leading is over.
            utc_now: the wall time, for people who read the lease.
            uniform: random number in [0, 1) for the jitter.
        """
        self._client = client
        self._key = key
        self._identity = identity
        self._timing = timing
        self._fence = fence
        self._watchdog = watchdog
        self._idle = idle
        self._now = fence.now
        self._utc_now = utc_now
        self._uniform = uniform
        self._view = lease.View(identity=identity, duration_s=timing.duration_s, now=fence.now)
        self._leading = asyncio.Event()
        self._stopping = asyncio.Event()
        self._failures = 0
        self._trouble = "no renewal was due"

    @property
    def is_leading(self) -> bool:
        """Whether this process may act now."""
        return self._leading.is_set() and self._fence.left_s > 0

    @property
    def left_s(self) -> float:
        """For how many seconds this process may still act without a renewal; 0 when it may not."""
        return max(0.0, self._fence.left_s) if self._leading.is_set() else 0.0

    @property
    def holder(self) -> str:
        """Who holds the lease, as it was seen last; empty: nobody."""
        return self._view.record.holder

    async def wait_leading(self) -> None:
        """Wait until this process has the lease."""
        await self._leading.wait()

    def stop(self) -> None:
        """Lead, or campaign, no longer; `run` returns when the lease is given back.

        What leading allowed has ended by now.
        """
        self._stopping.set()

    async def run(self) -> None:
        """Campaign, then lead, until `stop`.

        Raises:
            errors.LeaseLost: the lease may have ended, or is another's.
            errors.ApiError: the server finds the lease as it is written wrong (400, 422).
            BaseExceptionGroup: of the latter, before the lease was had.
        """
        try:
            await self._campaign_until_stopped()
            if self._leading.is_set():
                await self._lead()
        finally:
            # However it ends: nothing is written any more.
            self._fence.close()
        await self._give_back()

    async def _campaign_until_stopped(self) -> None:
        async with asyncio.TaskGroup() as group:
            campaign = group.create_task(self._campaign(), name="campaign")
            stopping = group.create_task(self._wait_stopping(), name="campaign-end")
            await asyncio.wait({campaign, stopping}, return_when=asyncio.FIRST_COMPLETED)
            campaign.cancel()
            stopping.cancel()

    async def _wait_stopping(self) -> None:
        await self._stopping.wait()

    async def _campaign(self) -> None:
        while not self._leading.is_set():
            try:
                async with asyncio.timeout(self._timing.call_deadline_s):
                    await self._look()
                if self._view.wait_s > 0:
                    await self._follow()
                else:
                    await self._take()
            except _NEVER_MENDED:
                raise
            except _OVERTAKEN as error:
                # The next look shows by whom; there is one look for each such write of another.
                _log.debug("Another was faster", lease=str(self._key), error=str(error))
            except _PASSING as error:
                pause_s, wait_s = self._failed(error), self._view.wait_s
                await asyncio.sleep(min(pause_s, wait_s) if wait_s > 0 else pause_s)

    async def _look(self) -> None:
        try:
            self._saw(await self._client.get(lease.LEASES, self._key))
        except errors.NotFound:
            self._view.missed()

    def _saw(self, obj: resource.JsonObject) -> None:
        holder = self.holder
        self._view.saw(obj)
        if self.holder not in {holder, self._identity}:
            _log.info("Lease has another holder", lease=str(self._key), holder=self.holder)

    async def _follow(self) -> None:
        """Watch the lease until it may be had, or for as long as that is possible."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._view.wait_s) as limit:
                if self._view.version:
                    await self._watch(limit)
                await asyncio.sleep(self._pause_s())

    async def _watch(self, limit: asyncio.Timeout) -> None:
        async with self._client.watch(
            lease.LEASES,
            namespace=self._key.namespace,
            field_selector=f"metadata.name={self._key.name}",
            resource_version=self._view.version,
            timeout_s=_WATCH_S,
            idle_s=_WATCH_S,
        ) as batches:
            self._well()
            async for batch in batches:
                for event in batch:
                    self._hear(event)
                limit.reschedule(clock.loop_time() + self._view.wait_s)

    def _hear(self, event: client.WatchEvent) -> None:
        match event.type:
            case "ADDED" | "MODIFIED":
                self._saw(event.object)
            case "DELETED":
                self._view.missed()
            case _:
                # Bookmarks: their version is not the lease's.
                pass

    async def _take(self) -> None:
        began = self._now()
        async with asyncio.timeout(self._timing.call_deadline_s):
            await self._write()
        self._keep(began)
        self._leading.set()
        transitions = self._view.record.transitions
        _log.info("Leading", lease=str(self._key), transitions=transitions)

    async def _write(self) -> None:
        """Write the own record over the version that was seen last, or make the lease."""
        record = self._view.next_record(self._utc_now())
        if self._view.version:
            await self._patch(record)
            return
        body = {
            "apiVersion": lease.LEASES.api_version,
            "kind": lease.LEASES.kind,
            "metadata": {"name": self._key.name},
            "spec": record.spec(),
        }
        self._saw(await self._client.create(lease.LEASES, self._key.namespace, body))

    async def _patch(self, record: lease.Record) -> None:
        """Change the lease in place, so that what others have put on it stays."""
        metadata = {"resourceVersion": self._view.version}
        change = {"metadata": metadata, "spec": record.spec()}
        self._saw(await self._client.merge_patch(lease.LEASES, self._key, change))

    def _keep(self, began: float) -> None:
        """Go on leading, on the strength of a write that was begun then."""
        self._fence.renewed(began)
        self._watchdog.arm(self._fence.ends_in_s)
        self._well()

    async def _lead(self) -> None:
        began, pause_s = self._now(), self._pause_s()
        while True:
            # A try that hung has used up its pause; and the fence may shut before it is over.
            left_s = min(began + pause_s - self._now(), self._fence.left_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._stopping.wait()
                    return
            began = self._now()
            pause_s = await self._renew()

    async def _renew(self) -> float:
        """Try to renew; returns the pause from the start of this try to that of the next one.

        Raises:
            errors.LeaseLost: it is too late, or the lease is not this process's any more.
        """
        began, left_s = self._now(), self._fence.left_s
        if left_s <= 0:
            message = f"the lease was not renewed in time: {self._trouble}"
            raise errors.LeaseLost(message)
        try:
            async with asyncio.timeout(min(self._timing.call_deadline_s, left_s)):
                try:
                    await self._write()
                except (*_OVERTAKEN, errors.NotFound):
                    await self._check_mine()
                    await self._write()
        except _NEVER_MENDED:
            raise
        except _PASSING as error:
            return self._failed(error)
        self._keep(began)
        return self._pause_s()

    async def _check_mine(self) -> None:
        """Find out who has changed the lease: it may be an own write whose answer was lost.

        Raises:
            errors.LeaseLost: the lease is not this process's any more.
        """
        await self._look()
        if not self._view.is_mine:
            message = f"the lease is held by {self.holder or 'nobody'}, not by this process"
            raise errors.LeaseLost(message)

    async def _give_back(self) -> None:
        """Let another have the lease at once, unless something may still be on its way.

        A process that cannot is of no harm: the others wait for the lease's end, and until then
        nothing of this process is left.
        """
        if not self._view.claimed:
            return
        if not self._idle():
            _log.warning("Lease is not given back: work was cut off", lease=str(self._key))
            return
        try:
            async with asyncio.timeout(self._timing.call_deadline_s):
                await self._look()
                if self._view.is_mine and self._view.version:
                    await self._patch(self._view.released_record(self._utc_now()))
        except _PASSING as error:
            _log.warning("Lease is not given back", lease=str(self._key), error=_text(error))
            return
        self._watchdog.disarm()

    def _failed(self, error: Exception) -> float:
        """Log a failed try, loudly the first of a row; returns the pause until the next one.

        What a 429 asks for, a second as a rule, is less than a retry period.
        """
        self._failures += 1
        self._trouble = _text(error)
        log = _log.warning if self._failures == 1 else _log.debug
        log("Lease cannot be had or watched", lease=str(self._key), error=self._trouble)
        refused = isinstance(error, errors.TransportError) and not error.sent
        return min(self._pause_s(), _REFUSED_CAP_S) if refused else self._pause_s()

    def _well(self) -> None:
        if self._failures > 1:
            _log.info("Lease can be had or watched again", tries=self._failures)
        self._failures = 0

    def _pause_s(self) -> float:
        return self._timing.retry_period_s * (1 + (lease.JITTER - 1) * self._uniform())


def _text(error: Exception) -> str:
    return str(error) or "no answer in time"
