from __future__ import annotations

import asyncio
import contextlib
import datetime
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from tests import builders
from tests.unit.adapters import fakes
from workflowexecution import ports
from workflowexecution.adapters import events, losses
from workflowexecution.api.status import Status
from workflowexecution.domain import events as stories
from workflowexecution.runtime import errors, resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workflowexecution.runtime.resource import JsonObject, ObjectKey

pytestmark = pytest.mark.looptime

KEY = fakes.KEY
UID = "uid-restart-payment"
RELATED = {"kind": "RemediationRequest", "name": "rr-1"}


class FakeServer:
    """Keeps events as an API server does, and raises what is in `refusals` first."""

    def __init__(self) -> None:
        self.events: dict[ObjectKey, JsonObject] = {}
        self.calls: list[tuple[str, float]] = []
        self.refusals: list[errors.ClusterError] = []
        self.lands = False
        """Whether a refused create takes effect all the same."""

    def _answer(self, verb: str) -> errors.ClusterError | None:
        self.calls.append((verb, asyncio.get_running_loop().time()))
        return self.refusals.pop(0) if self.refusals else None

    async def create(
        self, resource: resource.Resource, namespace: str, body: JsonObject, *, whole: bool = True
    ) -> JsonObject:
        error = self._answer("create")
        key = _key(body)
        if error is not None and not self.lands:
            raise error
        if key in self.events:
            raise fakes.refusal(errors.AlreadyExists)
        self.events[key] = body
        if error is not None:
            raise error
        return body if whole else _metadata(body)

    async def merge_patch(
        self, resource: resource.Resource, key: ObjectKey, patch: JsonObject, *, whole: bool = True
    ) -> JsonObject:
        error = self._answer("patch")
        if error is not None:
            raise error
        if key not in self.events:
            raise fakes.refusal(errors.NotFound)
        self.events[key] = self.events[key] | patch
        return self.events[key] if whole else _metadata(self.events[key])

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.calls]

    @property
    def only(self) -> JsonObject:
        (event,) = self.events.values()
        return event


def _key(body: JsonObject) -> resource.ObjectKey:
    return resource.ObjectKey(body["metadata"]["namespace"], body["metadata"]["name"])


def _metadata(body: JsonObject) -> JsonObject:
    return {"metadata": body["metadata"]}


class FakeClock:
    """Wall time that goes with the loop's."""

    def now(self) -> datetime.datetime:
        return builders.NOW + datetime.timedelta(seconds=asyncio.get_running_loop().time())


class Rig:
    """A writer of events over a fake server."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.busy = False
        self.fates: list[str] = []
        self.events = self.fresh()

    def fresh(self) -> events.Events:
        return events.Events(
            client=self.server, clock=FakeClock(), busy=lambda: self.busy, observer=self
        )

    def written(self) -> None:
        self.fates.append("written")

    def dropped(self, why: losses.Why) -> None:
        self.fates.append(why)

    def say(
        self,
        message: str = "m",
        reason: str = "LockReleased",
        uid: str = UID,
        key: resource.ObjectKey = KEY,
    ) -> None:
        self.events.record(key, uid, stories.Story(stories.Reason(reason), message, RELATED))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeServer]:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self.events.run())
            yield self.server
            self.events.stop()
            await writing


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


async def test_passing_failure_is_tried_again_with_growing_delays(rig: Rig) -> None:
    rig.server.refusals = [
        errors.TransportError("broken"),
        fakes.refusal(errors.ServerError),
        errors.Throttled(errors.Refusal(status=429, retry_after_s=20)),
    ]
    async with rig.running() as server:
        rig.say()
        await asyncio.sleep(60)
    times = [at for _, at in server.calls]
    assert len(times) == 4
    assert times[1] - times[0] <= 0.5
    assert times[3] - times[2] >= 20
    assert rig.fates == ["written"]


async def test_failure_that_does_not_pass_is_given_up_after_five_attempts(rig: Rig) -> None:
    rig.server.refusals = [errors.TransportError("broken")] * 100
    async with rig.running() as server:
        rig.say()
        await asyncio.sleep(60)
        rig.say()
        await asyncio.sleep(60)
    assert len(server.calls) == 5
    assert rig.fates == ["failed"]


@pytest.mark.parametrize("kind", [errors.Forbidden, errors.NotFound, errors.Invalid])
async def test_refusal_is_dropped_and_logged_once_a_minute(
    rig: Rig, kind: type[errors.ApiError]
) -> None:
    rig.server.refusals = [fakes.refusal(kind) for _ in range(4)]
    with structlog.testing.capture_logs() as logs:
        async with rig.running() as server:
            rig.say(uid="a")
            rig.say(uid="b")
            rig.say(uid="c", key=resource.ObjectKey("other", "x"))
            await asyncio.sleep(losses.EVERY_S + 1)
            assert [line["events"] for line in logs] == [1, 2]
            await asyncio.sleep(losses.EVERY_S + 1)
            rig.say(uid="d")
    assert server.verbs == ["create"] * 4
    assert rig.fates == ["refused"] * 4
    assert [(line["namespace"], line["events"]) for line in logs] == [
        ("payment", 1), ("other", 2), ("payment", 1),
    ]  # fmt: skip
    assert {(line["event"], line["why"]) for line in logs} == {("Events dropped", "refused")}
    assert all(str(fakes.refusal(kind)) in line["error"] for line in logs)


async def test_what_has_been_dropped_is_told_at_the_stop(rig: Rig) -> None:
    rig.server.refusals = [fakes.refusal(errors.Forbidden) for _ in range(3)]
    with structlog.testing.capture_logs() as logs:
        async with rig.running():
            for uid in "abc":
                rig.say(uid=uid)
    assert [line["events"] for line in logs] == [1, 2]


async def test_reasons_of_drops_are_told_apart(rig: Rig) -> None:
    rig.server.refusals = [fakes.refusal(errors.Forbidden)] + [errors.TransportError("broken")] * 5
    with structlog.testing.capture_logs() as logs:
        async with rig.running():
            rig.say(uid="a")
            rig.say(uid="b")
            await asyncio.sleep(30)
    assert [(line["why"], line["events"]) for line in logs] == [("refused", 1), ("failed", 1)]


async def test_what_waits_is_bounded_and_the_oldest_goes(rig: Rig) -> None:
    with structlog.testing.capture_logs() as logs:
        for number in range(events.MAX_WAITING + 2):
            rig.say(uid=str(number))
    assert [(line["why"], line["reason"]) for line in logs] == [("full", "LockReleased")]
    assert len(rig.events) == events.MAX_WAITING
    assert rig.fates == ["full", "full"]
    async with rig.running() as server:
        pass
    uids = {it["involvedObject"]["uid"] for it in server.events.values()}
    assert "1" not in uids
    assert "2" in uids


async def test_what_rests_is_bounded_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_WAITING", 2)
    async with rig.running() as server:
        for _ in range(2):
            for uid in "abc":
                rig.say(uid=uid)
                await asyncio.sleep(1)
        assert len(rig.events) == 2
        await asyncio.sleep(1300)
    assert rig.fates == ["written"] * 3 + ["full"] + ["written"] * 2
    assert server.verbs == ["create"] * 3 + ["patch"] * 2


async def test_what_is_remembered_is_bounded(rig: Rig) -> None:
    async with rig.running():
        for number in range(3 * events.MAX_REMEMBERED):
            rig.say(uid=str(number))
            if number % 1000 == 0:
                await asyncio.sleep(1)
        await asyncio.sleep(1)
        assert len(rig.events._told) == events.MAX_REMEMBERED


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


async def test_stop_waits_five_seconds_at_most(rig: Rig) -> None:
    rig.server.refusals = [errors.TransportError("broken")] * 100
    with structlog.testing.capture_logs() as logs:
        async with rig.running():
            rig.say(uid="a")
            rig.say(uid="b")
            rig.say(uid="c")
    assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.1)
    assert logs[-1]["event"] == "Events are lost at the stop"
