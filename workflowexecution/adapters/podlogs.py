"""Logs of pods: few at a time, and none while the kubelets that have them are silent.

The API server fetches a log from the kubelet of the pod's node, and waits for that as long as it is
waited for. A reconcile that reads one keeps its worker meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from workflowexecution.adapters import breaker
from workflowexecution.domain import evidence
from workflowexecution.runtime import clock, errors, resource

if TYPE_CHECKING:
    from workflowexecution.runtime import client

PODS = resource.Resource("", "v1", "pods", "Pod")

AT_ONCE = 4
DEADLINE_S = 3.0
PATIENCE_S = DEADLINE_S + 0.5
"""Who finds no room waits for it as long as readings end: in this time at least one.

Longer than a reading may take, so that a slow kubelet is none that is silent. The renewal of
credentials alone can make one take longer.
"""
SILENT_AFTER = 3
PAUSE_S = 5.0

# One more than is kept tells whether the log was longer.
_LINES = evidence.MAX_LOG_LINES + 1
_MAX_BYTES = 2 * 1024 * 1024
"""Kept of what comes: a runtime stores long lines in pieces, so these lines may be 8 MiB."""


class PodLogs:
    """Reads the ends of logs, and gives up soon where none come.

    However many runs fail at once, each log is read where kubelets answer, since a reading takes
    milliseconds, or the few seconds of a slow kubelet. Where they do not, after three readings in a
    row without an answer nothing is asked for a few seconds, and then one reading finds out whether
    logs come again. The pause stays short since it is for all nodes, where one may be silent alone:
    a TaskRun does not name the node of its pod.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, client: client.Client, namespace: str) -> None:
        """Read logs of pods in this namespace."""
        self._client = client
        self._namespace = namespace
        self._room = asyncio.Semaphore(AT_ONCE)
        self._breaker = breaker.Breaker(
            clock=clock.loop_time, threshold=SILENT_AFTER, cap_s=PAUSE_S
        )
        self._reading = 0
        self._moved_at = float("-inf")
        """When a reading began, or was answered, last."""

    async def read(self, pod: str, step: str) -> str:
        """The last lines that a step has written.

        Raises:
            errors.ApiError: the server, or the kubelet behind it, says that there is none.
            errors.TransportError: it did not come, or was not asked for since others did not.
        """
        await self._enter()
        try:
            if not self._may_ask():
                message = "it was not asked for, since the logs of other pods do not come"
                raise errors.TransportError(message, sent=False)
            return await self._ask(pod, step)
        finally:
            self._room.release()

    async def _enter(self) -> None:
        """Wait for room as long as readings end."""
        while self._room.locked():
            left_s = self._moved_at + PATIENCE_S - clock.loop_time()
            if left_s <= 0:
                message = f"it was not asked for, since no log has come for {PATIENCE_S:g} s"
                raise errors.TransportError(message, sent=False)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._room.acquire()
                    return
        await self._room.acquire()

    def _may_ask(self) -> bool:
        """Whether logs come, as far as is known; or nobody else finds out."""
        if self._breaker.wait_s() > 0:
            return False
        return self._breaker.is_closed or not self._reading

    async def _ask(self, pod: str, step: str) -> str:
        path = PODS.path(namespace=self._namespace, name=pod, subresource="log")
        params = {"container": f"step-{step}", "tailLines": str(_LINES)}
        self._reading += 1
        self._moved_at = clock.loop_time()
        try:
            log = await self._client.get_text(
                path, params=params, max_bytes=_MAX_BYTES, deadline_s=DEADLINE_S
            )
        except errors.ApiError:
            self._answered()
            raise
        except errors.TransportError as error:
            # A connection that is refused or lost is the API server's, and tells of no kubelet.
            if not isinstance(error.__cause__, TimeoutError):
                raise
            self._breaker.failed()
            message = f"it has not come within {DEADLINE_S:.0f} s"
            raise errors.TransportError(message) from error
        finally:
            self._reading -= 1
        self._answered()
        return log

    def _answered(self) -> None:
        self._moved_at = clock.loop_time()
        self._breaker.succeeded()
