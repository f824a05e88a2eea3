"""Nothing is kept of the records of an execution that is gone, whatever became of them."""

from __future__ import annotations

import dataclasses

import pytest

from tests.unit.reconciler import fakes
from tests.unit.reconciler.audited import HELD, Bed
from workflowexecution import ports
from workflowexecution.reconciler.duty import Settled

pytestmark = pytest.mark.looptime


def go(bed: Bed) -> None:
    """The watch tells that the execution is gone."""
    bed.world.executions.remove(fakes.KEY)
    bed.auditor.forget(fakes.UID)


async def ended_with_a_refusal() -> Bed:
    """An execution that has ended, of which a record was refused, as its status says."""
    bed = Bed()
    await bed.start()
    await bed.end()
    bed.trail.record("created", "completed")
    bed.trail.refuse("started")
    assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
    return bed


async def test_a_refused_record_is_remembered_until_its_execution_is_gone() -> None:
    bed = await ended_with_a_refusal()
    assert bed.auditor.may_go(bed.world.sync())
    assert bed.auditor.remembered == 1
    go(bed)
    assert bed.auditor.remembered == 0


@pytest.mark.parametrize("answer", ["recorded", "refused", "shed"])
async def test_a_record_on_its_way_is_answered_after_its_execution_is_gone(answer: str) -> None:
    bed = Bed()
    await bed.start()
    await bed.end()
    bed.trail.refuse("created")
    go(bed)
    match answer:
        case "recorded":
            bed.trail.record("started", "completed")
        case "refused":
            bed.trail.refuse("started")
        case _:
            bed.trail.shed("started")
    assert bed.trail.offers == [("created", False), ("started", False), ("completed", False)]
    assert (bed.auditor.remembered, bed.woken) == (0, [])


async def test_a_write_that_is_answered_after_the_execution_is_gone_leaves_nothing() -> None:
    bed = Bed()
    bed.trail.prompt = True
    await bed.start()
    late = fakes.Listener()
    bed.tools = dataclasses.replace(bed.tools, observers=(late,))
    await bed.end()
    go(bed)
    for change in late.heard:
        bed.auditor.wrote(change)
    assert bed.auditor.remembered == 0


async def test_an_acknowledgement_that_is_answered_after_it_leaves_nothing() -> None:
    bed = Bed()
    await bed.start()
    await bed.end()
    bed.trail.record("created", "completed")
    bed.trail.refuse("started")
    seen = bed.world.sync()
    bed.world.writer.meanwhile = lambda: go(bed)
    assert await bed.auditor.settle(seen) is Settled.WRITTEN
    assert bed.auditor.remembered == 0


async def test_what_moved_to_the_outbox_stays_there() -> None:
    bed = Bed(metadata={**HELD, "deletionTimestamp": "2020-01-01T00:00:00Z"})
    await bed.start()
    assert await bed.auditor.part(bed.world.sync(), overdue=False) == 0.0
    go(bed)
    assert bed.outbox.kept == ["created", "started"]


async def test_what_has_moved_is_not_moved_again_when_the_finalizer_is_not_taken_off() -> None:
    bed = Bed(metadata={**HELD, "deletionTimestamp": "2020-01-01T00:00:00Z"})
    await bed.start()
    bed.outbox.error = ports.OutboxFull("full")
    for _ in range(2):
        assert await bed.auditor.part(bed.world.sync(), overdue=True) == 0.0
    assert [it.partition(":")[0] for it in bed.logged] == ["created", "started"]
    assert bed.auditor.counts.lost == 2
    go(bed)
    assert bed.auditor.remembered == 0


async def test_what_has_moved_after_its_execution_is_gone_leaves_nothing() -> None:
    bed = Bed(metadata={**HELD, "deletionTimestamp": "2020-01-01T00:00:00Z"})
    await bed.start()
    seen = bed.world.sync()
    go(bed)
    assert await bed.auditor.part(seen, overdue=True) == 0.0
    assert bed.auditor.remembered == 0
