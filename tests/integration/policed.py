"""Set-up that tests of the admission policy share: people with rights, and what they clear."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.integration import objects, people

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.people import Person
    from tests.integration.world import World
    from tests.stack.cluster import Stack

EXECUTIONS: dict[str, Any] = {"apiGroups": ["kubernaut.ai"], "resources": ["workflowexecutions"]}
USE = [EXECUTIONS | {"verbs": ["get", "list", "create", "update", "delete", "patch"]}]
READY = {
    "type": "Ready",
    "status": "False",
    "reason": "TaskFailed",
    "message": "",
    "lastTransitionTime": "2026-03-01T12:00:00Z",
}
FAILED = {
    "phase": "Failed",
    "outcome": "Failed",
    "message": "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 1",
    "requiresManualReview": True,
    "conditions": [READY],
}


@pytest.fixture(scope="module", autouse=True)
def policy(stack: Stack) -> Iterator[None]:
    """The policy, and two people who may use and clear executions everywhere."""
    with people.policy(stack), contextlib.ExitStack() as rights:
        for user in ("alice", "bob"):
            rights.enter_context(people.granted(stack, user, USE))
            rights.enter_context(people.granted(stack, user, people.CLEARER))
        yield


alice = people.fixture("alice")
bob = people.fixture("bob")
admin = people.fixture("admin")
"""Has every verb, control among them."""


@pytest_asyncio.fixture
async def blocked(world: World, admin: Person) -> str:
    """An execution that has failed after it had begun."""
    await world.create(objects.execution("blocked"))
    (await admin.set_status("blocked", **FAILED)).accept()
    return "blocked"


@pytest_asyncio.fixture
async def cleared(blocked: str, alice: Person) -> str:
    """The same, cleared by alice."""
    (await alice.clear(blocked)).accept()
    return blocked
