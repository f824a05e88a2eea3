"""Events that cannot be written or are too many: tried again, dropped, and told of."""

from __future__ import annotations

import asyncio

import pytest
import structlog.testing

from tests.unit.adapters import fakes
from tests.unit.adapters.eventwriters import Rig
from workflowexecution.adapters import events, losses
from workflowexecution.runtime import errors, resource

pytestmark = pytest.mark.looptime


@pytest.fixture
def rig() -> Rig:
    return Rig()


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


async def test_stop_waits_five_seconds_at_most(rig: Rig) -> None:
    rig.server.refusals = [errors.TransportError("broken")] * 100
    with structlog.testing.capture_logs() as logs:
        async with rig.running():
            rig.say(uid="a")
            rig.say(uid="b")
            rig.say(uid="c")
    assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.1)
    assert logs[-1]["event"] == "Events are lost at the stop"
