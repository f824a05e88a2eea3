"""What becomes an event, under which name, when it is written and how often."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests import builders
from tests.unit.adapters.eventwriters import KEY, RELATED, UID, Rig
from workflowexecution import ports
from workflowexecution.api.status import Status
from workflowexecution.domain import events as stories
from workflowexecution.runtime import errors, resource

pytestmark = pytest.mark.looptime


@pytest.fixture
def rig() -> Rig:
    return Rig()


def change(phase: str, before: str = "", **status: Any) -> ports.StatusWrite:  # noqa: ANN401
    return ports.StatusWrite(
        key=KEY,
        execution=builders.execution(status={"phase": before}),
        after=Status.model_validate({"phase": phase, **status}),
        now=builders.NOW,
    )


@pytest.mark.requirement("BR-WF-005", "Events emitted for all phase transitions")
@pytest.mark.requirement("BR-WF-005", "Events correlatable via remediation_id")
async def test_change_of_phase_becomes_an_event_in_the_namespace_of_the_execution(
    rig: Rig,
) -> None:
    async with rig.running() as server:
        rig.events.wrote(change("Completed", outcome="Success"))
        await asyncio.sleep(0)
    event = server.only
    assert event["metadata"]["namespace"] == "payment"
    assert event["metadata"]["name"].startswith("restart-payment.")
    assert event["involvedObject"] == {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "namespace": "payment",
        "name": "restart-payment",
        "uid": UID,
    }
    assert event["related"] == {"name": "rr-1", "namespace": "payment"}
    assert (event["reason"], event["type"], event["count"]) == ("WorkflowCompleted", "Normal", 1)
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-03-01T12:00:00Z"
    assert event["source"] == {"component": "workflowexecution-controller"}


async def test_what_is_no_change_of_phase_is_no_event(rig: Rig) -> None:
    async with rig.running() as server:
        rig.events.wrote(change("Running", before="Running"))
    assert server.calls == []


async def test_failure_is_a_warning(rig: Rig) -> None:
    async with rig.running() as server:
        rig.events.wrote(change("Failed", outcome="Failed"))
    assert server.only["type"] == "Warning"


@pytest.mark.parametrize("related", [RELATED, None], ids=["known", "unknown"])
async def test_record_names_what_it_is_related_to(rig: Rig, related: dict[str, str] | None) -> None:
    async with rig.running() as server:
        rig.events.record(KEY, UID, stories.Story(stories.Reason.CLEANUP_FAILED, "m", related))
    assert server.only["type"] == "Warning"
    assert server.only["reason"] == "CleanupFailed"
    assert server.only.get("related") == related


async def test_what_is_said_again_while_it_waits_is_one_event(rig: Rig) -> None:
    rig.say("one")
    rig.say("two")
    rig.say("three", reason="CancelRequested")
    assert len(rig.events) == 2
    async with rig.running() as server:
        pass
    assert server.verbs == ["create", "create"]
    counts = {it["reason"]: (it["count"], it["message"]) for it in server.events.values()}
    assert counts == {"LockReleased": (2, "two"), "CancelRequested": (1, "three")}


async def test_what_is_said_every_ten_seconds_is_written_four_times_an_hour(rig: Rig) -> None:
    async with rig.running() as server:
        for number in range(361):
            rig.say(f"attempt {number}")
            await asyncio.sleep(10)
    assert server.verbs == ["create", "patch", "patch", "patch"]
    event = server.only
    assert (event["count"], event["message"]) == (360, "attempt 359")
    assert event["lastTimestamp"] > event["firstTimestamp"]


async def test_an_event_that_the_server_has_forgotten_is_made_anew(rig: Rig) -> None:
    async with rig.running() as server:
        rig.say()
        await asyncio.sleep(4000)
        server.events.clear()
        rig.say()
        await asyncio.sleep(1)
    assert server.verbs == ["create", "patch", "create"]
    assert server.only["count"] == 1


async def test_a_restart_meets_the_event_that_is_there(rig: Rig) -> None:
    async with rig.running():
        rig.say()
        rig.say()
    rig.events = rig.fresh()
    async with rig.running() as server:
        rig.say("again")
        await asyncio.sleep(1300)
        rig.say("and again")
    assert server.verbs == ["create", "create", "patch", "patch"]
    assert (server.only["message"], server.only["count"]) == ("and again", 3)


async def test_an_answer_that_was_lost_doubles_nothing(rig: Rig) -> None:
    rig.server.refusals = [errors.TransportError("lost")]
    rig.server.lands = True
    async with rig.running() as server:
        rig.say()
        await asyncio.sleep(10)
    assert server.verbs == ["create", "create"]
    assert server.only["count"] == 1
    assert rig.fates == ["written"]


async def test_same_name_in_another_execution_is_another_event(rig: Rig) -> None:
    async with rig.running() as server:
        rig.say(uid="a")
        rig.say(uid="b")
    assert len(server.events) == 2


async def test_name_of_the_event_fits_whatever_the_execution_is_called(rig: Rig) -> None:
    async with rig.running() as server:
        rig.say(key=resource.ObjectKey("payment", f"{'x' * 235}.{'y' * 17}"))
    (key,) = server.events
    assert len(key.name) == 252
    assert ".." not in key.name


async def test_events_give_way_while_reconciles_wait_but_not_for_ever(rig: Rig) -> None:
    async with rig.running() as server:
        rig.busy = True
        rig.say(uid="a")
        rig.say(uid="b")
        await asyncio.sleep(0.9)
        assert server.calls == []
        await asyncio.sleep(0.2)
        assert len(server.calls) == 1
        rig.busy = False
        await asyncio.sleep(0.1)
        assert len(server.calls) == 2


async def test_what_is_said_again_while_its_event_is_written_waits_its_time(rig: Rig) -> None:
    async with rig.running() as server:
        rig.server.refusals = [errors.TransportError("broken")]
        rig.say()
        await asyncio.sleep(0.01)
        rig.say()
        await asyncio.sleep(10)
        assert server.only["count"] == 1
        assert len(rig.events) == 1
        await asyncio.sleep(1200)
    assert server.only["count"] == 2


async def test_stop_writes_what_waits_without_giving_way(rig: Rig) -> None:
    rig.busy = True
    for number in range(50):
        rig.say(uid=str(number))
    async with rig.running():
        pass
    assert rig.fates == ["written"] * 50
    assert asyncio.get_running_loop().time() < 1
