"""The account of audit records: offered after a write, acknowledged in the next, awaited last."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.audited import ALL, ENDED, HELD, Bed
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, ConditionType, FailureReason
from workflowexecution.domain import locking, status
from workflowexecution.reconciler import duty, ended, lull, tools
from workflowexecution.reconciler.duty import Settled
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime


async def test_records_are_offered_once_the_status_stands() -> None:
    bed = Bed()
    await bed.start()
    assert bed.trail.offers == [("created", False), ("started", False)]
    bed.world.writer.error = answers.refusal(errors.Conflict)
    with pytest.raises(errors.Conflict):
        await bed.end()
    assert len(bed.trail.offers) == 2


async def test_acknowledgements_ride_on_the_next_write_and_the_last_has_its_own() -> None:
    bed = Bed()
    await bed.start()
    bed.trail.record("created", "started")
    assert bed.woken == []
    await bed.end()
    assert bed.audited == ("created", "started")
    assert bed.world.journal == ["status", "status"]
    bed.trail.record("completed")
    assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
    assert bed.recorded() is ConditionStatus.TRUE
    assert bed.world.journal == ["status", "status", "status"]
    assert bed.reads == 0
    assert await bed.auditor.settle(bed.world.sync()) is Settled.UNCHANGED


async def test_an_acknowledgement_waits_until_nobody_begins_or_ends() -> None:
    bed = Bed()
    await bed.complete()
    bed.woken.clear()
    bed.busy = True
    assert await bed.auditor.settle(bed.world.sync()) is Settled.LATER
    assert bed.auditor.may_go(bed.world.sync())
    await asyncio.sleep(5)
    assert (bed.audited, bed.woken) == ((), [])
    bed.busy = False
    await asyncio.sleep(1)
    assert bed.woken == [fakes.KEY]
    assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
    assert bed.audited == ALL


async def test_an_acknowledgement_that_fails_in_a_lull_keeps_its_place() -> None:
    bed = Bed()
    await bed.complete()
    bed.busy = True
    assert await bed.auditor.settle(bed.world.sync()) is Settled.LATER
    await asyncio.sleep(lull.AT_MOST_S + 1)
    bed.world.writer.status_error = errors.TransportError("lost")
    with pytest.raises(errors.TransportError):
        await bed.auditor.settle(bed.world.sync())
    bed.world.writer.status_error = None
    assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN


async def test_the_finalizer_of_one_without_a_run_goes_after_its_acknowledgement() -> None:
    bed = Bed()
    await bed.complete()
    bed.busy = True
    retention = ended.Retention(bed.tools)
    assert await retention.reconcile(bed.world.sync()) == Result()
    assert bed.world.journal == ["status", "status"]
    bed.busy = False
    await retention.reconcile(bed.world.sync())
    await retention.reconcile(bed.world.sync())
    assert bed.world.journal == ["status", "status", "status", "patch"]
    assert bed.reads == 0


async def test_a_late_word_that_nothing_is_due_drops_no_account_of_what_is_under_way() -> None:
    bed = Bed()
    await bed.start()
    bed.auditor.acknowledged(fakes.UID)
    bed.trail.record("created", "started")
    await bed.end()
    bed.trail.record("completed")
    assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
    assert bed.audited == ALL
    bed.auditor.acknowledged(fakes.UID)
    assert bed.auditor.remembered == 0


CLEARED = {
    "phase": "Failed",
    "blockClearance": {
        "clearedAt": builders.stamp(40),
        "clearedBy": "ann",
        "clearReason": "by hand",
        "clearMethod": "StatusField",
    },
}


async def test_what_comes_up_after_a_wait_waits_by_its_own_time() -> None:
    bed = Bed(status=ENDED | CLEARED)
    bed.busy, bed.trail.prompt = True, True
    async with bed.sweeping():
        assert await bed.auditor.settle(bed.world.sync()) is Settled.LATER
        await asyncio.sleep(lull.AT_MOST_S + 1)
        assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
    await ended.Retention(bed.tools).reconcile(bed.world.sync())
    assert await bed.auditor.settle(bed.world.sync()) is Settled.LATER


async def test_nothing_calls_for_what_was_acknowledged_with_another_write() -> None:
    bed = Bed(status=ENDED | CLEARED)
    bed.busy, bed.trail.prompt = True, True
    async with bed.sweeping():
        assert await bed.auditor.settle(bed.world.sync()) is Settled.LATER
    bed.trail.prompt = False
    await ended.Retention(bed.tools).reconcile(bed.world.sync())
    assert bed.audited == ("created", "started", "failed")
    assert await bed.auditor.settle(bed.world.sync()) is Settled.UNCHANGED
    bed.woken.clear()
    bed.busy = False
    await asyncio.sleep(60)
    assert bed.woken == []


@pytest.mark.parametrize("prompt", [True, False])
async def test_the_record_of_a_clearance_is_offered_once(*, prompt: bool) -> None:
    told = ["created", "started", "failed"]
    bed = Bed(status=ENDED | CLEARED | {"auditedTransitions": told})
    bed.trail.prompt = prompt
    retention = ended.Retention(bed.tools)
    async with bed.sweeping():
        assert await retention.reconcile(bed.world.sync()) == Result()
        assert bed.world.journal == ["read execution", "status"]
        if not prompt:
            bed.trail.record("block.cleared")
        await retention.reconcile(bed.world.sync())
        await asyncio.sleep(2)
    assert bed.trail.offers == [("block.cleared", False)]
    assert bed.audited == (*told, "block.cleared")


async def test_nothing_calls_for_the_acknowledgement_of_one_that_is_gone() -> None:
    bed = Bed()
    await bed.complete()
    bed.busy = True
    assert await bed.auditor.settle(bed.world.sync()) is Settled.LATER
    bed.auditor.forget(fakes.UID)
    bed.woken.clear()
    await asyncio.sleep(60)
    assert bed.woken == []


async def test_the_last_answer_wakes_an_ended_execution() -> None:
    bed = Bed()
    await bed.start()
    await bed.end()
    bed.world.sync()
    bed.trail.record("created", "completed")
    assert bed.woken == []
    assert await bed.auditor.settle(bed.world.sync()) is Settled.UNCHANGED
    bed.trail.record("started")
    assert bed.woken == [fakes.KEY]


async def test_status_is_read_again_when_somebody_else_has_written() -> None:
    bed = Bed()
    await bed.complete()
    version = bed.world.writer.stored[fakes.KEY]["metadata"]["resourceVersion"]
    await bed.world.writer.patch(
        fakes.KEY, {"metadata": {"labels": {"a": "b"}}}, resource_version=version
    )
    assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
    assert (bed.audited, bed.reads) == (ALL, 1)


async def test_what_an_earlier_life_may_have_sent_is_doubtful() -> None:
    bed = Bed()
    await bed.start()
    bed.renew()
    bed.trail.offers.clear()
    await bed.end()
    assert bed.trail.offers == [("created", True), ("started", True), ("completed", False)]


async def test_nothing_is_remembered_of_what_is_turned_away_shed_or_done() -> None:
    bed = Bed()
    bed.trail.full = True
    await bed.start()
    assert bed.auditor.remembered == 0
    bed.trail.full = False
    await bed.end()
    assert bed.auditor.remembered == 1
    for it in ALL:
        bed.trail.shed(it)
    assert bed.auditor.remembered == 0
    async with bed.sweeping():
        bed.world.sync()
        await asyncio.sleep(2)
    bed.trail.record(*ALL)
    await bed.auditor.settle(bed.world.sync())
    await bed.auditor.settle(bed.world.sync())
    assert (bed.audited, bed.auditor.remembered) == (ALL, 0)


async def test_a_recorded_condition_waits_for_what_comes_after() -> None:
    bed = Bed()
    await bed.start()
    bed.trail.record("created", "started")
    case = bed.case()
    note = status.Note(ConditionType.PROGRESSING, ConditionStatus.TRUE, "Moves")
    await tools.write(bed.tools, case, status.noted(case.status, case.moment, [note]))
    assert bed.recorded() is ConditionStatus.TRUE
    await bed.end()
    assert bed.recorded() is ConditionStatus.UNKNOWN


async def test_a_refused_record_is_said_once_and_holds_up_nothing() -> None:
    bed = Bed()
    await bed.start()
    await bed.end()
    bed.trail.record("created", "completed")
    bed.trail.refuse("started")
    assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
    assert bed.recorded() is ConditionStatus.FALSE
    assert bed.audited == ("created", "completed")
    assert await bed.auditor.settle(bed.world.sync()) is Settled.UNCHANGED
    assert bed.reads == 0
    assert bed.auditor.may_go(bed.world.sync())


async def test_first_write_is_preceded_by_the_finalizer() -> None:
    bed = Bed(metadata={"finalizers": ["other/one"]})
    case = bed.case()
    await tools.refuse(bed.tools, case, FailureReason.CONFIGURATION_ERROR, "odd", [])
    assert bed.world.journal == ["patch", "status"]
    stored = bed.world.writer.stored[fakes.KEY]["metadata"]
    assert stored["finalizers"] == ["other/one", names.FINALIZER]
    assert bed.trail.offers == [("created", False), ("failed", False)]


async def test_a_deleted_execution_gets_no_finalizer() -> None:
    bed = Bed(metadata={"deletionTimestamp": builders.stamp()})
    case = bed.case()
    await tools.refuse(bed.tools, case, FailureReason.CANCELLED, "deleted", [])
    assert bed.world.journal == ["status"]


async def test_an_ended_execution_keeps_the_finalizer_until_all_is_recorded() -> None:
    bed = Bed()
    await bed.start()
    await bed.end()
    retention = ended.Retention(bed.tools)
    assert await retention.reconcile(bed.world.sync()) == Result()
    bed.trail.record(*ALL)
    assert await retention.reconcile(bed.world.sync()) == Result()
    assert bed.world.journal == ["status", "status", "status"]
    assert await retention.reconcile(bed.world.sync()) == Result()
    assert bed.world.journal[-1] == "patch"
    assert "finalizers" not in bed.world.writer.stored[fakes.KEY]["metadata"]


class TestSweep:
    async def test_offers_what_an_earlier_life_left(self) -> None:
        bed = Bed(status=ENDED | {"auditedTransitions": ["created"]})
        async with bed.sweeping():
            assert bed.trail.offers == [("started", True), ("completed", True)]
        bed.trail.record("started", "completed")
        assert bed.woken == [fakes.KEY]
        assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
        assert bed.audited == ALL

    async def test_offers_what_a_live_one_has_due_without_a_read(self) -> None:
        bed = Bed(status={"phase": "Running", "startTime": builders.stamp(1)})
        async with bed.sweeping():
            assert bed.trail.offers == [("created", True), ("started", True)]
        assert bed.reads == 0

    @pytest.mark.parametrize("said", [{}, ENDED | {"auditedTransitions": list(ALL)}])
    async def test_leaves_alone_what_is_new_and_what_is_recorded(
        self, said: dict[str, Any]
    ) -> None:
        bed = Bed(status=said)
        async with bed.sweeping():
            assert (bed.trail.offers, bed.reads) == ([], 0)

    async def test_leaves_alone_what_another_instance_serves(self) -> None:
        bed = Bed(status=ENDED, metadata=HELD | {"labels": {names.LABEL_INSTANCE: "blue"}})
        async with bed.sweeping():
            assert (bed.trail.offers, bed.reads) == ([], 0)

    async def test_offers_what_comes_up_as_due_and_left_when_it_is_looked_at(self) -> None:
        bed = Bed(status={})
        async with bed.sweeping():
            await asyncio.sleep(5)
            seen = bed.world.put(metadata=HELD, status=ENDED)
            assert await bed.auditor.settle(seen) is Settled.UNCHANGED
            await asyncio.sleep(2)
            assert bed.trail.offers == [(it, True) for it in ALL]

    async def test_waits_for_room(self) -> None:
        bed = Bed(status=ENDED)
        bed.trail.full = True
        async with bed.sweeping():
            assert bed.reads == 0
            bed.trail.full = False
            bed.auditor.room()
            await asyncio.sleep(2)
            assert len(bed.trail.offers) == 3

    async def test_offers_again_what_was_shed(self) -> None:
        bed = Bed()
        async with bed.sweeping():
            await bed.start()
            await bed.end()
            bed.world.sync()
            bed.trail.offers.clear()
            for it in ALL:
                bed.trail.shed(it)
            await asyncio.sleep(2)
            assert bed.trail.offers == [(it, True) for it in ALL]

    async def test_survives_a_cluster_that_fails(self) -> None:
        bed = Bed(status=ENDED)
        bed.read_error = errors.TransportError("lost")
        async with bed.sweeping():
            bed.read_error = None
            await asyncio.sleep(2)
            assert len(bed.trail.offers) == 3

    async def test_leaves_alone_what_is_gone_or_another(self) -> None:
        bed = Bed(status=ENDED)
        stored = bed.world.writer.stored
        stored[fakes.KEY] = builders.raw_execution(metadata={"uid": "another"}, status=ENDED)
        async with bed.sweeping():
            del stored[fakes.KEY]
            bed.auditor.room()
            await asyncio.sleep(2)
            assert (bed.trail.offers, bed.reads) == ([], 2)

    async def test_offers_again_what_could_not_be_written_down(self) -> None:
        bed = Bed()
        await bed.start()
        async with bed.sweeping():
            bed.trail.error = OSError("no space left")
            with pytest.raises(OSError, match="no space"):
                await bed.end()
            bed.world.sync()
            await asyncio.sleep(5)
            bed.trail.error = None
            await asyncio.sleep(5)
            assert bed.trail.offers[-1] == ("completed", True)

    async def test_an_unreadable_spec_leaves_records_too(self) -> None:
        bed = Bed(spec={"targetResource": 5}, status={"phase": "Failed"})
        async with bed.sweeping():
            assert bed.trail.offers == [("created", True), ("failed", True)]


async def test_a_status_that_changes_while_it_is_read_is_not_overwritten() -> None:
    bed = Bed()
    await bed.complete()
    seen = bed.world.sync()
    stored = dict(bed.world.writer.stored[fakes.KEY])
    stored["metadata"] = {**stored["metadata"], "resourceVersion": "99"}
    bed.world.writer.stored[fakes.KEY] = stored
    with pytest.raises(errors.Conflict):
        await bed.auditor.settle(seen)


async def test_without_audit_nothing_is_due() -> None:
    none = duty.NoAudit()
    bed = Bed(metadata={}, status=ENDED)
    case, seen = bed.case(), bed.world.sync()
    assert none.merged(seen.uid, case.moment, case.status) is case.status
    assert (await none.settle(seen), none.may_go(seen)) == (Settled.UNCHANGED, True)
    assert await none.part(seen, overdue=True) == 0.0
    assert locking.run_name(builders.TARGET) == seen.lock
