"""What is remembered of TaskRuns that have begun and do not say so any more."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from workflowexecution.adapters import begun, tekton
from workflowexecution.reconciler import view
from workflowexecution.runtime import store

UID = "uid-restart-payment"
RUNNING = {"phase": "Running", "pipelineRunRef": {"uid": "run-of-restart-payment"}}
FAILED = {**RUNNING, "phase": "Failed"}

_project = view.projection("", "")


def execution(status: dict[str, Any]) -> view.Execution:
    return _project(builders.raw_execution("restart-payment", status=status))


def task(name: str = "restart", *, ran: bool) -> tekton.Task:
    return tekton.project_task(builders.raw_task(name, steps=[builders.step(ran=ran)]))


class Past:
    """The memory, and the one execution that it knows."""

    def __init__(self, status: dict[str, Any] | None = None) -> None:
        self.execution = execution(status or RUNNING)
        known = {UID: self.execution}
        self.begun = begun.Begun(owner=known.get)

    def sees(self, old: tekton.Task | None, new: tekton.Task | None) -> None:
        self.begun.task_changed(store.Delta(old, new))

    def says(self, new: view.Execution | None) -> None:
        self.begun.execution_changed(store.Delta(self.execution, new))

    def ran(self, now: tekton.Task) -> bool:
        return self.begun.told(now).ran


@pytest.mark.parametrize("between", [False, True], ids=["a-second-pod", "made-anew"])
def test_what_has_run_has_run_whatever_is_said_later(*, between: bool) -> None:
    past, pod, second = Past(), task(ran=True), task(ran=False)
    assert not past.ran(second)
    past.sees(pod, None if between else second)
    assert past.ran(second)
    assert type(past.begun.told(second)) is tekton.Task
    assert past.begun.told(second)._replace(ran=False) == second
    assert not past.ran(task("another", ran=False))


def test_nothing_is_kept_of_tasks_that_say_it_themselves_or_never_ran() -> None:
    past = Past()
    past.sees(None, task(ran=True))
    past.sees(task(ran=True), task(ran=True))
    past.sees(task(ran=False), None)
    assert len(past.begun) == 0
    assert past.ran(task(ran=True))


@pytest.mark.parametrize("status", [RUNNING, FAILED], ids=["gone", "ended"])
def test_it_is_kept_until_the_execution_has_ended(status: dict[str, Any]) -> None:
    past = Past()
    past.sees(task(ran=True), None)
    past.says(execution(RUNNING))
    assert len(past.begun) == 1
    past.says(None if status is RUNNING else execution(status))
    assert len(past.begun) == 0


def test_nothing_is_kept_of_the_tasks_of_an_execution_that_has_ended_or_is_not_known() -> None:
    past = Past(FAILED)
    past.sees(task(ran=True), None)
    strange = begun.Begun(owner=lambda uid: None)
    strange.task_changed(store.Delta(task(ran=True), None))
    assert len(past.begun) == len(strange) == 0


def test_tasks_of_a_database_that_was_put_back_may_come_before_their_execution() -> None:
    past, second = Past(FAILED), task(ran=False)
    past.sees(task(ran=True), second)
    past.says(execution(RUNNING))
    assert past.ran(second)
