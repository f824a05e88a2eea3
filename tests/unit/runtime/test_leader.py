import asyncio

import pytest

from tests.fake import faults, kinds
from tests.unit.runtime import electors, sources
from tests.unit.runtime.electors import Bench

pytestmark = pytest.mark.looptime

AWAY = 6 * 3600.0


class TestTaking:
    async def test_lease_is_made_when_none_is_there(self, bench: Bench) -> None:
        await bench.replica("a").leads()
        assert bench.spec == {
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-03-01T12:00:00.000000Z",
            "renewTime": "2026-03-01T12:00:00.000000Z",
            "leaseTransitions": 0,
        }

    async def test_nobody_may_write_before_the_lease_is_had(self, bench: Bench) -> None:
        held = bench.cluster.faults.hold(electors.of("a", "create"))
        replica = bench.replica("a")
        await held.reached.wait()
        assert (replica.may_write, replica.elector.is_leading) == (False, False)
        held.release()
        await replica.leads()
        assert (replica.may_write, replica.elector.is_leading) == (True, True)

    async def test_what_is_left_of_it_shrinks_until_it_is_renewed(self, bench: Bench) -> None:
        replica = bench.replica("a")
        assert replica.elector.left_s == 0
        await replica.leads()
        assert replica.elector.left_s == pytest.approx(10, abs=0.1)
        await asyncio.sleep(1)
        assert replica.elector.left_s == pytest.approx(9, abs=0.1)

    async def test_one_gets_it_when_several_make_it_at_once(self, bench: Bench) -> None:
        held = bench.cluster.faults.hold(electors.of("", "create"))
        replicas = [bench.replica(name) for name in "abc"]
        await asyncio.sleep(1)
        held.release()
        await asyncio.sleep(60)
        assert [it.may_write for it in replicas].count(True) == 1
        assert bench.spec["leaseTransitions"] == 0

    async def test_one_gets_it_when_several_wake_at_once(self, bench: Bench) -> None:
        first, *others = [bench.replica(name) for name in "abcd"]
        await first.leads()
        await asyncio.sleep(30)
        await first.stop()
        await asyncio.sleep(60)
        assert [it.may_write for it in others].count(True) == 1
        assert bench.spec["leaseTransitions"] == 1

    async def test_it_is_tried_again_when_its_namespace_comes_later(self, bench: Bench) -> None:
        namespace = electors.KEY.namespace
        bench.cluster.delete(kinds.NAMESPACES, "", namespace)
        replica = bench.replica("a")
        await asyncio.sleep(10)
        assert not replica.may_write
        metadata = {"name": namespace}
        bench.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        await replica.leads(within_s=3)

    @pytest.mark.parametrize(
        ("spec", "wait_s"),
        [
            pytest.param({}, 15, id="holder-and-duration-wiped-out"),
            pytest.param(dict.fromkeys(("holderIdentity", "renewTime")), 15, id="nulls"),
            pytest.param({"holderIdentity": "", "leaseDurationSeconds": 1}, 0, id="given-back"),
            pytest.param({"holderIdentity": "x"}, 15, id="no-duration"),
            pytest.param({"holderIdentity": "x", "leaseDurationSeconds": 40}, 40, id="long"),
            pytest.param({"holderIdentity": "x", "leaseDurationSeconds": 3}, 3, id="short"),
            pytest.param({"leaseDurationSeconds": 20}, 20, id="holder-wiped-out"),
            pytest.param({"holderIdentity": "a"}, 15, id="own-name-of-a-former-life"),
        ],
    )
    async def test_it_is_taken_when_it_was_seen_unchanged_for_as_long_as_it_says(
        self, bench: Bench, spec: dict[str, object], wait_s: float
    ) -> None:
        long_ago = "2001-01-01T00:00:00.000000Z"
        bench.put(**{"renewTime": long_ago, **spec, "leaseTransitions": 7})
        assert await bench.replica("a").leads() == pytest.approx(wait_s, abs=0.1)
        assert bench.spec["leaseTransitions"] == 8

    async def test_it_is_taken_at_once_when_nothing_on_it_shows_a_holder(
        self, bench: Bench
    ) -> None:
        bench.put()
        assert await bench.replica("a").leads() == pytest.approx(0, abs=0.1)
        assert bench.spec["leaseTransitions"] == 1

    async def test_what_others_put_on_it_stays(self, bench: Bench) -> None:
        bench.put()
        bench.cluster.patch(kinds.LEASES, *electors.KEY, {"metadata": {"labels": {"a": "b"}}})
        await bench.replica("a").leads()
        assert bench.stored
        assert bench.stored["metadata"]["labels"] == {"a": "b"}


class TestKeeping:
    async def test_it_is_renewed_each_retry_period(self, bench: Bench) -> None:
        replica = bench.replica("a")
        await replica.leads()
        await asyncio.sleep(0.5)
        for second in range(0, 60, 2):
            assert bench.spec["renewTime"][:22] == f"2026-03-01T12:00:{second:02}.00"
            await asyncio.sleep(2)
        assert bench.spec["acquireTime"] == "2026-03-01T12:00:00.000000Z"
        assert bench.spec["leaseTransitions"] == 0

    async def test_watchdog_is_put_off_with_each_renewal(self, bench: Bench) -> None:
        replica = bench.replica("a")
        for second in range(0, 20, 2):
            await asyncio.sleep(2)
            ends_at = replica.watchdog.ends_at
            assert ends_at == pytest.approx(second + 2 + 12.5, abs=2.1)

    async def test_fence_tells_when_a_request_must_be_over(self, bench: Bench) -> None:
        replica = bench.replica("a")
        await replica.leads()
        assert replica.fence.check() == pytest.approx(12.5)
        await asyncio.sleep(1.5)
        assert replica.fence.check() == pytest.approx(11)

    @pytest.mark.parametrize("change", [{"leaseDurationSeconds": 99}, {"leaseTransitions": 5}])
    async def test_holder_goes_on_when_somebody_edits_its_record(
        self, bench: Bench, change: dict[str, object]
    ) -> None:
        replica = bench.replica("a")
        await replica.leads()
        bench.edit(**change)
        await asyncio.sleep(30)
        assert replica.may_write
        assert bench.spec["leaseDurationSeconds"] == 15

    async def test_holder_makes_it_again_when_it_is_deleted(self, bench: Bench) -> None:
        first, other = bench.replica("a"), bench.replica("b")
        await first.leads()
        await asyncio.sleep(20.5)
        bench.delete()
        await asyncio.sleep(60)
        assert (first.may_write, other.may_write) == (True, False)
        assert bench.spec["acquireTime"] == "2026-03-01T12:00:00.000000Z"


class TestWaiting:
    @pytest.mark.parametrize("skew_s", [0, AWAY, -AWAY], ids=["none", "ahead", "behind"])
    async def test_dead_holders_lease_is_taken_at_its_observed_end_whatever_the_clocks_say(
        self, bench: Bench, skew_s: float
    ) -> None:
        first, other = bench.replica("a"), bench.replica("b", skew_s=skew_s)
        await first.leads()
        await asyncio.sleep(100.5)
        assert (first.may_write, other.may_write) == (True, False)
        await first.kill()
        assert await other.leads() == pytest.approx(100 + 15, abs=0.1)
        assert bench.spec["holderIdentity"] == "b"

    async def test_lease_is_taken_at_once_when_it_is_given_back(self, bench: Bench) -> None:
        first, other = bench.replica("a"), bench.replica("b")
        await first.leads()
        await asyncio.sleep(30)
        await first.stop()
        assert await other.leads() == pytest.approx(30, abs=0.1)

    async def test_waiting_costs_a_request_in_minutes(self, bench: Bench) -> None:
        await bench.replica("a").leads()
        bench.replica("b")
        await asyncio.sleep(600)
        assert bench.asked("b") <= 6
        assert bench.asked("a") == pytest.approx(300, abs=4)

    async def test_lease_is_asked_for_each_retry_period_when_it_cannot_be_watched(
        self, bench: Bench
    ) -> None:
        first = bench.replica("a")
        await first.leads()
        bench.cluster.faults.add(faults.bad_gateway(403), electors.of("b", "watch"), times=None)
        other = bench.replica("b")
        await asyncio.sleep(60)
        assert bench.asked("b", "get") == pytest.approx(31, abs=2)
        await first.stop()
        assert await other.leads() <= 60 + 2.1

    async def test_holder_is_known(self, bench: Bench) -> None:
        first, other = bench.replica("a"), bench.replica("b")
        await first.leads()
        await asyncio.sleep(5)
        assert (first.elector.holder, other.elector.holder) == ("a", "a")

    async def test_nothing_spins_when_every_watch_ends_at_once(self, bench: Bench) -> None:
        await bench.replica("a").leads()
        bench.cluster.faults.add(faults.CutWatch(0), electors.of("b", "watch"), times=None)
        bench.replica("b")
        await asyncio.sleep(60)
        assert bench.asked("b") <= 64

    async def test_deleted_lease_counts_as_held_until_its_end(self, bench: Bench) -> None:
        first, other = bench.replica("a"), bench.replica("b")
        await first.leads()
        await asyncio.sleep(20.5)
        await first.kill()
        bench.delete()
        assert await other.leads() == pytest.approx(20 + 15, abs=2.1)
        assert sources.now() >= 35

    async def test_lost_sight_of_the_lease_is_no_sign_of_its_end(self, bench: Bench) -> None:
        first, other = bench.replica("a"), bench.replica("b")
        await first.leads()
        await asyncio.sleep(10)
        bench.cluster.faults.silence_watches(electors.of("b"))
        await asyncio.sleep(100)
        assert (first.may_write, other.may_write) == (True, False)


class TestGivingBack:
    async def test_record_says_that_nobody_holds_it(self, bench: Bench) -> None:
        replica = bench.replica("a")
        await replica.leads()
        await asyncio.sleep(30)
        await replica.stop()
        spec = bench.spec
        assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("", 1)
        assert (spec["leaseTransitions"], replica.may_write) == (0, False)
        assert replica.watchdog.ends_at is None

    async def test_lease_is_kept_when_work_was_cut_off(self, bench: Bench) -> None:
        replica = bench.replica("a")
        await replica.leads()
        replica.idle = False
        await replica.stop()
        assert (bench.spec["holderIdentity"], replica.may_write) == ("a", False)
        assert replica.watchdog.ends_at is not None

    async def test_stop_ends_in_time_when_the_server_does_not_answer(self, bench: Bench) -> None:
        replica = bench.replica("a")
        await replica.leads()
        bench.cluster.faults.add(faults.Hang(), electors.of("a"), times=None)
        await asyncio.sleep(1)
        await replica.stop()
        assert sources.now() == pytest.approx(1 + electors.TIMING.call_deadline_s, abs=0.1)
        assert replica.watchdog.ends_at is not None

    async def test_waiting_one_gives_nothing_back(self, bench: Bench) -> None:
        await bench.replica("a").leads()
        other = bench.replica("b")
        await asyncio.sleep(5)
        await other.stop()
        assert bench.spec["holderIdentity"] == "a"
        assert bench.asked("b", "patch") == 0

    async def test_lease_of_another_is_left_alone(self, bench: Bench) -> None:
        replica = bench.replica("a")
        await replica.leads()
        bench.edit(holderIdentity="x")
        await replica.stop()
        assert bench.spec["holderIdentity"] == "x"

    async def test_cancelled_one_gives_nothing_back(self, bench: Bench) -> None:
        replica = bench.replica("a")
        await replica.leads()
        await replica.kill()
        assert (bench.spec["holderIdentity"], replica.may_write) == ("a", False)

    async def test_stop_ends_a_campaign_without_a_server(self, bench: Bench) -> None:
        bench.cluster.faults.add(faults.Hang(), times=None)
        replica = bench.replica("a")
        await asyncio.sleep(30)
        await replica.stop()
        assert sources.now() == pytest.approx(30, abs=0.1)
