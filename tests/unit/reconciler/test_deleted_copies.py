"""An execution that somebody deletes, of whose run there are copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.deletions import GONE_SOON, LOCK, finalizers, reconcile, world
from workflowexecution.domain import stopping
from workflowexecution.reconciler import failures
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from workflowexecution.api import tekton

COPY = f"{LOCK}-copy"


def copy(uid: str = "copy", **metadata: object) -> tekton.PipelineRun:
    return builders.run(metadata={"name": COPY, "uid": uid, **metadata})


def with_copy(own: tekton.PipelineRun | None, copied: tekton.PipelineRun) -> fakes.World:
    made = world()
    if own is not None:
        made.engine.show(own)
    made.engine.copied.append(copied)
    made.engine.live[COPY] = copied
    return made


async def test_the_own_run_is_told_to_end_when_copies_cannot_be_read() -> None:
    made = with_copy(builders.run(), copy())
    made.engine.read_error = answers.refusal(errors.Forbidden)
    with pytest.raises(errors.Forbidden):
        await reconcile(made)
    assert made.journal == ["read", f"change {LOCK}"]


async def test_copies_are_told_to_end_when_nothing_is_known_of_the_own_run() -> None:
    made = with_copy(None, copy())
    former = {"name": LOCK, "namespace": "former", "uid": "another"}
    made.writer.stored[fakes.KEY]["status"] |= {"pipelineRunRef": former}
    with pytest.raises(errors.ClusterError, match="Its run was made in namespace 'former'"):
        await reconcile(made)
    assert made.journal == ["read", "read", f"change {COPY}"]
    assert finalizers(made) is not None


async def test_it_is_not_released_when_copies_cannot_be_read() -> None:
    made = with_copy(None, copy())
    made.engine.read_error = errors.TransportError("lost")
    with pytest.raises(errors.TransportError):
        await reconcile(made)
    assert finalizers(made) is not None


async def test_it_is_released_before_its_runs_when_each_of_them_is_stuck() -> None:
    made = with_copy(builders.run(metadata=GONE_SOON), copy())
    made.clock.advance(600)
    await reconcile(made)
    assert finalizers(made) is not None
    going = copy(**GONE_SOON)
    made.engine.copied, made.engine.live[COPY] = [going], going
    await reconcile(made)
    assert finalizers(made) is None
    assert made.metrics.counted == ["deletion_given_up"]


async def test_a_copy_is_deleted_at_last_when_it_may_not_be_told_to_end() -> None:
    made, failing = with_copy(None, copy()), failures.Failures()
    made.engine.change_error = answers.refusal(errors.Forbidden)
    made.clock.advance(600)
    for step_s in (0, 59):
        made.clock.advance(step_s)
        with pytest.raises(errors.Forbidden):
            await reconcile(made, failing)
    made.clock.advance(1)
    assert (await reconcile(made, failing)).requeue_after_s == stopping.DELETED_S
    assert made.journal[-1] == f"delete {COPY}"
    assert finalizers(made) is not None
