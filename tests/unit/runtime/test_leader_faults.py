"""The holder's server answers badly, late or not at all; its lease is taken; its process stands."""

import asyncio

import pytest

from tests.fake import faults, kinds, statuses
from tests.fake.faults import Effect
from tests.unit.runtime import electors, sources
from tests.unit.runtime.electors import Bench, Replica
from workflowexecution.runtime import errors, lease, manager

pytestmark = pytest.mark.looptime

BAD: list[Effect] = [
    faults.throttled(),
    faults.bad_gateway(),
    faults.bad_gateway(403),
    faults.endpoint_missing(),
    faults.Drop(),
    faults.ApplyThenDrop(),
    faults.Hang(),
    faults.Delay(9),
    faults.Answer(200, "{}"),
    faults.Answer(200, "<html>"),
]
IDS = [
    "429",
    "502",
    "403",
    "plain-404",
    "reset",
    "applied-then-reset",
    "hang",
    "slow",
    "{}",
    "html",
]


async def leading(bench: Bench, name: str = "a") -> Replica:
    replica = bench.replica(name)
    await replica.leads()
    await asyncio.sleep(20.5)
    return replica


def lost(error: BaseException | None) -> str:
    assert isinstance(error, errors.LeaseLost), error
    return str(error)


class TestServer:
    @pytest.mark.parametrize("effect", BAD, ids=IDS)
    async def test_holder_goes_on_when_the_server_is_bad_for_a_while(
        self, bench: Bench, effect: Effect
    ) -> None:
        replica, other = await leading(bench), bench.replica("b")
        bench.cluster.faults.add(effect, electors.of("a"), times=None)
        await asyncio.sleep(5)
        bench.cluster.faults.heal()
        await asyncio.sleep(60)
        assert (replica.may_write, other.may_write) == (True, False)
        assert bench.spec["acquireTime"] == "2026-03-01T12:00:00.000000Z"

    @pytest.mark.parametrize("effect", BAD, ids=IDS)
    async def test_holder_ends_before_the_lease_does_when_the_server_stays_bad(
        self, bench: Bench, effect: Effect
    ) -> None:
        replica, other = await leading(bench), bench.replica("b")
        bench.cluster.faults.add(effect, electors.of("a", "get", "patch"), times=None)
        text = lost(await replica.ends())
        assert sources.now() == pytest.approx(20 + 10, abs=2.1)
        assert "not renewed in time" in text or "not by this process" in text
        assert not replica.may_write
        assert await other.leads() >= sources.now() - 0.1
        assert sources.now() >= 35

    async def test_several_tries_fit_when_each_of_them_hangs(self, bench: Bench) -> None:
        replica = await leading(bench)
        before = bench.asked("a")
        bench.cluster.faults.add(faults.Hang(), electors.of("a"), times=None)
        lost(await replica.ends())
        assert bench.asked("a") - before >= 3

    async def test_stop_ends_the_tries_when_the_server_stays_bad(self, bench: Bench) -> None:
        replica = await leading(bench)
        bench.cluster.faults.add(faults.bad_gateway(), electors.of("a"), times=None)
        await asyncio.sleep(5)
        await replica.stop()
        assert sources.now() == pytest.approx(25.5, abs=0.1)

    async def test_fence_shuts_at_the_deadline_though_the_call_still_hangs(
        self, bench: Bench
    ) -> None:
        replica = await leading(bench)
        bench.cluster.faults.add(faults.Hang(), electors.of("a"), times=None)
        await asyncio.sleep(9.4)
        assert replica.fence.check() == pytest.approx(2.6, abs=0.2)
        await asyncio.sleep(0.2)
        assert not replica.may_write

    @pytest.mark.parametrize("name", ["create", "patch"])
    async def test_lease_is_had_when_the_answer_of_taking_it_was_lost(
        self, bench: Bench, name: str
    ) -> None:
        if name == "patch":
            bench.put()
        bench.cluster.faults.add(faults.ApplyThenDrop(), electors.of("a", name))
        replica = bench.replica("a")
        await replica.leads(within_s=3)
        assert bench.spec["leaseTransitions"] == (1 if name == "patch" else 0)

    async def test_lease_whose_taking_is_unknown_is_given_back_on_a_stop(
        self, bench: Bench
    ) -> None:
        bench.cluster.faults.add(faults.ApplyThenDrop(), electors.of("a", "create"))
        replica = bench.replica("a")
        await asyncio.sleep(1)
        await replica.stop()
        assert bench.spec["holderIdentity"] == ""

    async def test_lease_taken_too_late_is_no_lease(self, bench: Bench) -> None:
        held = bench.cluster.faults.hold(electors.of("a", "create"))
        replica = bench.replica("a")
        await held.reached.wait()
        replica.asleep_s = 11
        held.release()
        error = await replica.ends()
        assert error is not None
        (cause,) = manager.causes(error)
        lost(cause)
        assert not replica.may_write

    @pytest.mark.parametrize("refusal", [statuses.bad_request("six digits"), None], ids=[400, 422])
    async def test_process_ends_loudly_when_what_it_writes_is_wrong(
        self, bench: Bench, refusal: statuses.StatusError | None
    ) -> None:
        wrong = refusal or statuses.invalid("coordination.k8s.io", "Lease", "x", ("a", "b", "c"))
        bench.cluster.faults.add(faults.refused(wrong), electors.of("a", "create"))
        error = await bench.replica("a").ends()
        assert error is not None
        (cause,) = manager.causes(error)
        assert isinstance(cause, errors.BadRequest | errors.Invalid)

    async def test_tries_come_every_three_seconds_at_most_when_connections_are_refused(
        self, bench: Bench
    ) -> None:
        stub = electors.Stub(errors.TransportError("refused", sent=False))
        timing = lease.Timing(duration_s=90, renew_deadline_s=60, retry_period_s=20)
        bench.replica("a", leases=stub, timing=timing)
        await asyncio.sleep(30)
        assert len(stub.asked_at) == pytest.approx(11, abs=1)

    async def test_tries_keep_their_pace_when_the_server_fails(self, bench: Bench) -> None:
        stub = electors.Stub(errors.TransportError("broken"))
        bench.replica("a", leases=stub)
        await asyncio.sleep(30)
        assert len(stub.asked_at) == pytest.approx(16, abs=1)


class TestOthers:
    async def test_deleted_lease_is_waited_for_when_it_cannot_be_watched(
        self, bench: Bench
    ) -> None:
        replica, other = await leading(bench), bench.replica("b")
        await asyncio.sleep(1)
        refusal = faults.bad_gateway(403)
        bench.cluster.faults.add(refusal, electors.of("b", "watch"), times=None)
        bench.cluster.faults.drop_watches(electors.of("b"))
        await replica.kill()
        bench.delete()
        assert await other.leads() == pytest.approx(20 + 15, abs=2.1)
        assert sources.now() >= 35

    @pytest.mark.parametrize("holder", ["x", ""], ids=["another", "nobody"])
    async def test_holder_ends_when_somebody_rewrites_the_lease(
        self, bench: Bench, holder: str
    ) -> None:
        replica, other = await leading(bench), bench.replica("b")
        await asyncio.sleep(5)
        bench.edit(holderIdentity=holder)
        assert f"held by {holder or 'nobody'}" in lost(await replica.ends(within_s=3))
        assert not replica.may_write
        assert await other.leads() >= 25.5 + 15

    async def test_nobody_acts_beside_the_holder_when_somebody_empties_the_lease(
        self, bench: Bench
    ) -> None:
        replica, other = await leading(bench), bench.replica("b")
        await asyncio.sleep(5)
        bench.cluster.patch(kinds.LEASES, *electors.KEY, {"spec": None})
        assert "held by nobody" in lost(await replica.ends(within_s=3))
        assert (replica.may_write, other.may_write) == (False, False)
        assert await other.leads() >= 25.5 + 15

    async def test_holder_ends_when_another_made_the_lease_that_was_deleted(
        self, bench: Bench
    ) -> None:
        replica = await leading(bench)
        bench.delete()
        bench.put(holderIdentity="x", leaseDurationSeconds=15)
        assert "held by x" in lost(await replica.ends(within_s=3))


def sleep(replica: Replica, for_s: float) -> None:
    """Let the loop stand for so long that it finds out afterwards only."""
    replica.asleep_s += for_s


class TestFrozen:
    @pytest.mark.parametrize("standby", [True, False])
    async def test_nothing_is_written_after_a_long_sleep(self, bench: Bench, standby: bool) -> None:
        replica = await leading(bench)
        if standby:
            bench.replica("b")
        before = bench.asked("a", "patch")
        sleep(replica, 30)
        assert not replica.may_write
        lost(await replica.ends(within_s=3))
        assert bench.asked("a", "patch") == before

    async def test_renewal_that_slept_does_not_count(self, bench: Bench) -> None:
        replica = await leading(bench)
        held = bench.cluster.faults.hold(electors.of("a", "patch"))
        await held.reached.wait()
        sleep(replica, 30)
        held.release()
        lost(await replica.ends(within_s=3))
        assert not replica.may_write

    @pytest.mark.parametrize(
        ("block_s", "survives"), [(5, True), (12, False), (20, False)], ids=str
    )
    async def test_blocked_loop_keeps_the_lease_only_if_it_is_short(
        self, bench: Bench, block_s: float, survives: bool
    ) -> None:
        replica = await leading(bench)
        asyncio.get_running_loop().call_later(1.0, sleep, replica, block_s)
        await asyncio.sleep(30)
        assert replica.may_write is survives
        assert replica.task is not None
        assert replica.task.done() is not survives
