"""What is remembered of runs that the cache does not have, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.adapters import fakes
from workflowexecution.adapters import gone, tekton
from workflowexecution.api import names
from workflowexecution.domain import locking
from workflowexecution.reconciler import view
from workflowexecution.runtime import store

UID = "uid-restart-payment"
RUN_UID = "run-of-restart-payment"
LOCK = fakes.run().name
STRAYS = 5000

PENDING: dict[str, Any] = {}
RUNNING = {"phase": "Running", "pipelineRunRef": {"uid": RUN_UID}}
COMPLETED = {"phase": "Completed", "pipelineRunRef": {"uid": RUN_UID}}
FAILED = {"phase": "Failed"}

_project = view.projection("", "")


def execution(status: dict[str, Any], name: str = "restart-payment") -> view.Execution:
    return _project(builders.raw_execution(name, status=status))


def run_of(owner: str) -> tekton.Run:
    return fakes.run(uid=f"run-of-{owner}", labels={names.LABEL_EXECUTION_UID: owner})


class Past:
    """The memory, and a cache of executions that it hears of."""

    def __init__(self, *statuses: dict[str, Any]) -> None:
        self.executions = store.StoreWriter[view.Execution](view.indexes())
        self.gone = gone.Gone("kubernaut-workflows", owner=self._owner)
        for said in statuses:
            self.says(execution(said))

    def _owner(self, uid: str) -> view.Execution | None:
        return next(iter(self.executions.by_index(view.BY_UID, uid)), None)

    def says(self, new: view.Execution) -> None:
        self.gone.execution_changed(store.Delta(self.executions.apply(new), new))

    def leaves(self, name: str = "restart-payment") -> None:
        old = self.executions.remove(execution(PENDING, name).key)
        self.gone.execution_changed(store.Delta(old, None))

    def runs(self, run: tekton.Run) -> None:
        self.gone.run_changed(store.Delta(None, run))
        self.gone.run_changed(store.Delta(run, run))

    def loses(self, run: tekton.Run) -> None:
        self.gone.run_changed(store.Delta(run, None))


@pytest.mark.parametrize("said", [PENDING, RUNNING, FAILED], ids=["pending", "running", "failed"])
def test_run_that_goes_is_remembered_when_its_execution_has_yet_to_name_it_for_good(
    said: dict[str, Any],
) -> None:
    past = Past(said)
    past.runs(fakes.run())
    assert past.gone.last(UID) is None
    past.loses(fakes.run())
    assert past.gone.last(UID) == fakes.run()


def test_every_run_that_goes_is_remembered_when_all_go_at_once() -> None:
    many = [f"e-{number}" for number in range(2 * STRAYS)]
    past = Past()
    for name in many:
        past.says(execution(RUNNING, name))
    for name in many:
        past.loses(run_of(f"uid-{name}"))
    for name in many:
        past.says(execution(PENDING, name))
    assert all(past.gone.last(f"uid-{name}") for name in many)
    for name in many:
        past.says(execution(COMPLETED, name))
    assert len(past.gone) == 0


def test_end_of_an_execution_that_names_its_run_needs_no_memory() -> None:
    past = Past(RUNNING)
    past.loses(fakes.run())
    past.says(execution(COMPLETED))
    assert len(past.gone) == 0
    past.loses(fakes.run())
    assert len(past.gone) == 0


@pytest.mark.parametrize("said", [RUNNING, COMPLETED], ids=["running", "completed"])
def test_run_is_known_when_its_execution_names_it_no_more(said: dict[str, Any]) -> None:
    past = Past(said)
    past.says(execution(PENDING))
    known = past.gone.last(UID)
    assert known is not None
    assert (known.namespace, known.name, known.uid) == ("kubernaut-workflows", LOCK, RUN_UID)
    assert (known.owner_uid, known.is_done) == (UID, False)


def test_what_was_seen_of_a_run_stays_when_its_execution_names_it_no_more() -> None:
    past = Past(RUNNING)
    past.loses(fakes.run())
    past.says(execution(PENDING))
    assert past.gone.last(UID) == fakes.run()


def test_execution_that_never_had_a_run_is_not_remembered() -> None:
    past = Past(FAILED)
    past.says(execution(PENDING))
    past.leaves()
    assert len(past.gone) == 0


@pytest.mark.parametrize("said", [PENDING, COMPLETED], ids=["pending", "completed"])
def test_execution_that_comes_back_is_known_when_it_was_deleted_meanwhile(
    said: dict[str, Any],
) -> None:
    past = Past(said)
    past.loses(fakes.run())
    past.leaves()
    known = past.gone.last(UID)
    assert known is not None
    assert (known.uid, known.owner_uid) == (RUN_UID, UID)
    past.says(execution(PENDING))
    assert past.gone.last(UID) == known
    past.says(execution(COMPLETED))
    assert len(past.gone) == 0


def test_run_is_remembered_when_it_goes_before_its_execution_comes() -> None:
    past = Past()
    past.loses(fakes.run())
    past.says(execution(RUNNING))
    assert past.gone.last(UID) == fakes.run()


def test_runs_of_executions_that_are_not_there_are_remembered_up_to_a_number() -> None:
    past = Past()
    for number in range(STRAYS + 1):
        past.loses(run_of(str(number)))
    past.loses(run_of("1"))
    past.loses(run_of("new"))
    found = [past.gone.last(owner) is not None for owner in ("0", "1", "2", "3", "new")]
    assert (found, len(past.gone)) == ([False, True, False, True, True], STRAYS)


def test_created_run_is_known_until_the_cache_has_it() -> None:
    past = Past(PENDING)
    past.gone.created(fakes.run())
    assert past.gone.last(UID) == fakes.run()
    past.runs(fakes.run(uid="another"))
    assert past.gone.last(UID) == fakes.run()
    past.runs(fakes.run())
    assert past.gone.last(UID) is None


def test_last_state_of_a_run_stays_when_it_is_gone_before_its_create_is_answered() -> None:
    past = Past(PENDING)
    past.loses(fakes.run(resourceVersion="9"))
    past.gone.created(fakes.run())
    assert past.gone.last(UID) == fakes.run(resourceVersion="9")
    past.gone.created(fakes.run(uid="another"))
    assert past.gone.last(UID) == fakes.run(uid="another")


@pytest.mark.parametrize("said", [PENDING, RUNNING], ids=["pending", "running"])
def test_run_that_was_only_copied_or_is_a_task_is_not_taken_for_the_one_that_went(
    said: dict[str, Any],
) -> None:
    past = Past(said)
    labels = {names.LABEL_EXECUTION_UID: UID, names.LABEL_TARGET: locking.target_label(LOCK)}
    past.loses(fakes.run(labels=labels))
    past.loses(fakes.run("copy", uid="copy", labels=labels))
    parent = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun"}
    past.loses(fakes.run("task", uid="t", labels=labels, ownerReferences=[parent]))
    known = past.gone.last(UID)
    assert known is not None
    assert known.uid == RUN_UID


def test_copy_of_a_run_is_remembered_when_its_execution_has_taken_it_on() -> None:
    past = Past({"phase": "Running", "pipelineRunRef": {"uid": "copy"}})
    labels = {names.LABEL_EXECUTION_UID: UID, names.LABEL_TARGET: locking.target_label(LOCK)}
    past.loses(fakes.run("copy", uid="copy", labels=labels))
    assert past.gone.last(UID) is not None
