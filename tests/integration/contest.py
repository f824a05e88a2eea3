"""Many executions for few targets, all at once, for several controllers to fight over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fake import kinds
from tests.fake.scenarios import End, Scenario, Task
from tests.support.executions import has_ended

if TYPE_CHECKING:
    from tests.integration.world import JsonObject, World

DECIDED_S = 120.0
_WELL = Scenario(tasks=(Task("apply"),))
_BADLY = Scenario(tasks=(Task("apply", End.EXITS, exit_code=3),))
_BAD = "bad"


@dataclass(frozen=True)
class Load:
    """So many executions for so many targets; of every tenth target the runs fail.

    Attributes:
        prefix: of the executions' names.
    """

    executions: int
    targets: int
    prefix: str = "e"

    def names(self) -> list[str]:
        """Every execution."""
        return [f"{self.prefix}-{number:04}" for number in range(self.executions)]

    async def create(self, world: World) -> float:
        """Create all of them as fast as can be; returns the seconds that took."""
        bodies = [
            world.execution(name, targetResource=self._target(number, world.namespace))
            for number, name in enumerate(self.names())
        ]
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(*(world.create(body) for body in bodies))
        return asyncio.get_running_loop().time() - begun

    def _target(self, number: int, namespace: str) -> str:
        which = number % self.targets
        return f"{namespace}/deployment/{_BAD if which % 10 == 9 else 'good'}-{which}"


def choose(run: JsonObject) -> Scenario:
    """How the simulated Tekton plays a run: by the target."""
    params = {each["name"]: each["value"] for each in run["spec"]["params"]}
    return _BADLY if f"/{_BAD}-" in params["TARGET_RESOURCE"] else _WELL


async def decided(world: World, load: Load) -> dict[str, JsonObject]:
    """Wait until every execution of a load has ended; returns all there are, by name.

    Raises:
        AssertionError: some have not in time; the message says which.
    """
    found: dict[str, JsonObject] = {}
    pending = set(load.names())
    try:
        async with asyncio.timeout(DECIDED_S):
            while pending:
                await _follow(world, found, pending)
    except TimeoutError:
        late = {name: found[name].get("status", {}) for name in sorted(pending)[:3]}
        raise AssertionError(f"{len(pending)} undecided after {DECIDED_S} s: {late}") from None
    return found


async def _follow(world: World, found: dict[str, JsonObject], pending: set[str]) -> None:
    """See what becomes of executions until none is pending, or the server ends the watch.

    It ends that of a client which is slow to read a burst.
    """
    listed = (await world.api.list(kinds.EXECUTIONS, world.namespace)).accept()
    found |= {each["metadata"]["name"]: each for each in listed["items"]}
    pending -= {name for name in pending if has_ended(found[name])}
    version = listed["metadata"]["resourceVersion"]
    async with world.api.watch(kinds.EXECUTIONS, world.namespace, resourceVersion=version) as watch:
        while pending:
            event = await anext(watch, None)
            if event is None or event.type == "ERROR":
                return
            name = event.object["metadata"]["name"]
            found[name] = event.object
            pending -= {name} if has_ended(event.object) else set()


def is_bad(execution: JsonObject) -> bool:
    """Whether the run of an execution is to fail."""
    return f"/{_BAD}-" in execution["spec"]["targetResource"]
