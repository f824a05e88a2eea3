"""The records of an execution that somebody deletes: awaited, moved, or kept on the log."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from tests import builders
from tests.unit.reconciler import fakes
from tests.unit.reconciler.audited import ALL, ENDED, HELD, Bed
from workflowexecution import ports
from workflowexecution.domain import auditevent
from workflowexecution.reconciler import auditing, deleted, failures
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime


def deleted_one(after_s: float = 0.0, **said: Any) -> Bed:  # noqa: ANN401 - a status
    """An ended execution that was deleted, its run gone, at a minute after."""
    gone = {"deletionTimestamp": builders.stamp(), **HELD}
    bed = Bed(metadata=gone, status=ENDED | said)
    bed.world.clock.advance(after_s)
    return bed


async def test_it_goes_at_once_when_all_is_recorded() -> None:
    bed = deleted_one(auditedTransitions=list(ALL))
    await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert bed.world.journal == ["read", "patch"]


async def test_it_waits_for_its_records_and_goes_without_another_status() -> None:
    bed = deleted_one()
    async with bed.sweeping():
        result = await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
        assert result.requeue_after_s == 240.0
        bed.trail.record(*ALL)
    assert bed.woken == [fakes.KEY]
    await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert bed.world.journal == ["read", "read", "patch"]


async def test_it_moves_what_is_due_when_the_time_is_over() -> None:
    bed = deleted_one(after_s=240.0, auditedTransitions=["created"])
    async with bed.sweeping():
        bed.trail.record("started")
    await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert (bed.outbox.kept, bed.auditor.counts.moved) == (["completed"], 1)
    assert bed.world.journal[-1] == "patch"


@pytest.mark.parametrize(
    "error", [ports.OutboxFull("full"), errors.TransportError("lost")], ids=["full", "lost"]
)
async def test_it_waits_for_an_outbox_that_takes_nothing(error: Exception) -> None:
    bed = deleted_one(after_s=240.0)
    bed.outbox.error = error
    with structlog.testing.capture_logs():
        result = await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert result.requeue_after_s == auditing.OUTBOX_AGAIN_S
    assert (bed.logged, bed.auditor.counts.lost) == ([], 0)
    bed.outbox.error = None
    await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert bed.outbox.kept == list(ALL)
    assert bed.world.journal == ["read", "read", "patch"]


@pytest.mark.parametrize(
    "error", [ports.OutboxFull("full"), errors.TransportError("lost")], ids=["full", "lost"]
)
async def test_it_writes_on_the_log_what_the_outbox_does_not_take_of_an_overdue_one(
    error: Exception,
) -> None:
    bed = deleted_one(after_s=700.0)
    bed.outbox.error = error
    with structlog.testing.capture_logs():
        await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert [line.split(":")[0] for line in bed.logged] == list(ALL)
    assert bed.auditor.counts.lost == 3
    assert bed.world.journal[-1] == "patch"


async def test_it_never_goes_unread() -> None:
    bed = deleted_one(after_s=700.0)
    bed.read_error = errors.TransportError("lost")
    with structlog.testing.capture_logs():
        result = await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert result.requeue_after_s == auditing.OUTBOX_AGAIN_S
    bed.read_error = None
    await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert bed.outbox.kept == list(ALL)


async def test_it_takes_its_records_along_when_overdue_and_its_run_cannot_be_read() -> None:
    bed = deleted_one(after_s=700.0)
    bed.world.engine.read_error = errors.TransportError("lost")
    failing = failures.Failures()
    failing.note(fakes.KEY, bed.world.clock.now(), "unanswered")
    bed.world.clock.advance(failures.LASTING_S)
    with structlog.testing.capture_logs():
        await deleted.reconcile(bed.tools, bed.world.sync(), failing)
    assert bed.outbox.kept == list(ALL)
    assert bed.world.journal[-1] == "patch"


@pytest.mark.parametrize("stuck", [True, False], ids=["its-run-stays", "its-run-is-unknown"])
async def test_it_stays_while_an_overdue_one_cannot_be_read(*, stuck: bool) -> None:
    bed = deleted_one(after_s=700.0)
    failing = failures.Failures()
    if stuck:
        going = builders.raw_run()["metadata"] | {"deletionTimestamp": builders.stamp()}
        bed.world.engine.show(builders.run(metadata=going))
    else:
        bed.world.engine.read_error = errors.TransportError("lost")
        failing.note(fakes.KEY, bed.world.clock.now(), "unanswered")
        bed.world.clock.advance(failures.LASTING_S)
    bed.read_error = errors.TransportError("lost")
    with structlog.testing.capture_logs():
        result = await deleted.reconcile(bed.tools, bed.world.sync(), failing)
    assert result == Result(auditing.OUTBOX_AGAIN_S, queue.Priority.LOW)
    assert "patch" not in bed.world.journal
    # Nobody waits for an outbox here: it is overdue.
    bed.read_error, bed.outbox.error = None, ports.OutboxFull("full")
    with structlog.testing.capture_logs():
        await deleted.reconcile(bed.tools, bed.world.sync(), failing)
    assert (bed.auditor.counts.lost, bed.world.journal[-1]) == (3, "patch")


async def test_it_does_not_wait_when_it_is_overdue_with_its_run() -> None:
    bed = deleted_one(after_s=700.0)
    going = builders.raw_run()["metadata"] | {"deletionTimestamp": builders.stamp()}
    bed.world.engine.show(builders.run(metadata=going))
    await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert bed.outbox.kept == list(ALL)


async def test_it_writes_on_the_log_what_the_dialect_has_no_word_for() -> None:
    bed = deleted_one(after_s=240.0)
    bed.style = auditevent.Style(dialect="current")
    bed.renew()
    await deleted.reconcile(bed.tools, bed.world.sync(), failures.Failures())
    assert bed.outbox.kept == ["started", "completed"]
    assert bed.logged == ["created: the dialect has no word for it"]


async def test_it_has_nothing_to_move_when_it_is_gone_or_answered() -> None:
    bed = deleted_one(after_s=240.0)
    stored = bed.world.sync()
    del bed.world.writer.stored[fakes.KEY]
    assert await bed.auditor.part(stored, overdue=False) == 0.0
    assert bed.outbox.kept == []


async def test_an_answer_for_an_execution_that_is_gone_is_forgotten() -> None:
    bed = Bed()
    await bed.start()
    bed.world.executions.remove(fakes.KEY)
    bed.trail.record("created")
    bed.trail.record("started")
    bed.trail.refuse("started")
    bed.trail.shed("started")
    assert bed.woken == []
