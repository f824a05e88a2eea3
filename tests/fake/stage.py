"""What the plays of all simulated runs share."""

import dataclasses
import datetime
from collections.abc import Callable, MutableMapping

from tests.fake.api import Api, Reply
from tests.fake.resources import ResourceType
from tests.fake.statuses import JsonObject

Logs = MutableMapping[tuple[str, str, str], str]


class RunGone(Exception):
    """The run or what belongs to it is not there any more: its play is over."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds of loop time.

    Attributes:
        start_s: from the run's creation to its first status.
        task_s: a task that does not say otherwise, or a run without tasks.
        cancel_s: from a cancellation to the end of the TaskRun it stops.
        pod_s: from the end of a cancelled TaskRun to the end of its pod.
        linger_s: from the end of the run to the end of the pods whose tasks ended by themselves;
            0 ends each before its TaskRun, as Tekton mostly has it.
    """

    start_s: float = 0.0
    task_s: float = 0.0
    cancel_s: float = 0.0
    pod_s: float = 0.0
    linger_s: float = 0.0


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """Where runs are played.

    Attributes:
        api: an open client.
        pace: how long things take.
        now: the clock of the timestamps, aware and in UTC.
        pods: also make a pod for each TaskRun (needs service accounts on a real server).
        logs: receives what steps write, by (namespace, pod, container).
    """

    api: Api
    pace: Pace = Pace()
    now: Callable[[], datetime.datetime] = _utc_now
    pods: bool = False
    logs: Logs | None = None

    def time(self) -> str:
        """Return the present time as Kubernetes writes it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    async def create(self, resource: ResourceType, namespace: str, body: JsonObject) -> JsonObject:
        """Create an object.

        Raises:
            RunGone: its namespace or API is gone or going.
        """
        return _check(await self.api.create(resource, namespace, body))

    async def patch(
        self, resource: ResourceType, item: JsonObject, patch: JsonObject, subresource: str = ""
    ) -> None:
        """Patch an object.

        Raises:
            RunGone: it is not there, or its API.
        """
        metadata = item["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        _check(await self.api.patch(resource, namespace, name, patch, subresource=subresource))


def _check(reply: Reply) -> JsonObject:
    if reply.status == 404 or (reply.status == 403 and b"being terminated" in reply.raw):
        raise RunGone
    return reply.accept()
