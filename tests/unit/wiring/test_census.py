from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests import builders
from workflowexecution.adapters.prometheus import book, moment
from workflowexecution.domain import locking
from workflowexecution.reconciler import view
from workflowexecution.runtime import store
from workflowexecution.wiring import census

NOW = builders.NOW + datetime.timedelta(seconds=100)
project = view.projection("", "")


def seen(name: str, target: str = "", **status: Any) -> view.Execution:  # noqa: ANN401
    return project(
        builders.raw_execution(
            name, spec={"targetResource": f"a/deployment/{target or name}"}, status=status
        )
    )


def failed(name: str, target: str, count: object, at_s: float = 0, **said: Any) -> view.Execution:  # noqa: ANN401
    """One that had a run of which nothing ran, so that it counts."""
    return seen(
        name,
        target,
        phase="Failed",
        consecutiveFailures=count,
        completionTime=builders.stamp(at_s),
        **{
            "pipelineRunRef": {"name": "r", "uid": name},
            "failureDetails": {"wasExecutionFailure": False},
            **said,
        },
    )


class Held:
    """A cache whose changes are heard of."""

    def __init__(self, *executions: view.Execution) -> None:
        self.cache = store.StoreWriter[view.Execution](view.indexes())
        self.taker = census.CensusTaker(self.cache)
        self.show(*executions)

    def show(self, *executions: view.Execution) -> None:
        for delta in self.cache.replace(executions):
            self.taker.changed(delta)

    def take(self, *, guarded: bool = True) -> moment.Census:
        return self.taker.take(NOW, guarded=guarded)

    def failures(self, *, guarded: bool = True) -> list[int]:
        return sorted(self.take(guarded=guarded).failures)


def test_census_counts_phases_and_names_all_of_them() -> None:
    found = Held(seen("a", phase="Running"), seen("b")).take()
    assert found.phases == {
        "Pending": 1, "Running": 1, "Completed": 0, "Failed": 0, "Skipped": 0,
    }  # fmt: skip


def test_a_running_execution_holds_a_lock_from_its_start() -> None:
    others = view.projection("elsewhere", "")(
        builders.raw_execution("c", status={"phase": "Running"})
    )
    held = Held(
        seen("a", phase="Running", startTime=builders.stamp(40)),
        seen("b", phase="Running", startTime=builders.stamp(400)),
        seen("d", phase="Running"),
        others,
    )
    assert held.take().lock_ages_s == [60, 0, 0]


def test_failures_of_a_target_are_those_of_its_row() -> None:
    executions = [
        failed("a1", "a", 1, 10),
        failed("a3", "a", 3, 30),
        failed("a2", "a", 2, 20),
        failed("b1", "b", 4, 10),
        seen("b2", "b", phase="Completed", completionTime=builders.stamp(20)),
        seen("b3", "b", phase="Skipped", completionTime=builders.stamp(30)),
        failed("c1", "c", "odd"),
    ]
    assert locking.run_name("a/deployment/a") == executions[0].lock
    assert Held(*executions).failures() == [1, 3]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param({"pipelineRunRef": None, "failureDetails": {}}, id="refused"),
        pytest.param({"failureReason": "Cancelled"}, id="cancelled"),
        pytest.param({"failureDetails": {"wasExecutionFailure": True}}, id="half-changed"),
    ],
)
def test_an_end_that_does_not_count_hides_no_failures(end: dict[str, Any]) -> None:
    held = Held(failed("a", "t", 5, 10), failed("b", "t", 0, 20, **end))
    assert held.failures() == [5]


@pytest.mark.parametrize("guarded", [True, False])
def test_failures_that_are_cleared_count_only_where_nothing_guards_clearances(
    guarded: bool,
) -> None:
    cleared = failed("a", "t", 5, blockClearance={"clearedAt": builders.stamp(20)})
    held = Held(cleared, failed("b", "other", 1))
    assert held.failures(guarded=guarded) == ([1] if guarded else [1, 5])
    assert held.failures(guarded=not guarded) == ([1, 5] if guarded else [1])


def test_failures_follow_what_comes_and_goes_between_two_looks() -> None:
    first = failed("a", "t", 5, 10)
    success = seen("b", "t", phase="Completed", completionTime=builders.stamp(20))
    held = Held(first)
    assert held.failures() == [5]
    held.show(first, success)
    assert held.failures() == []
    held.show(first)
    assert held.failures() == [5]
    held.taker.changed(store.Delta(first, first))
    held.show()
    assert held.failures() == []


def test_census_becomes_gauges_without_a_target() -> None:
    families = book.Book()
    held = Held(
        failed("a", "a", 5),
        failed("b", "b", 3),
        failed("c", "c", 2),
        seen("d", phase="Running", startTime=builders.stamp(40)),
    )
    moment.add_executions(families, held.take)
    text = families.render().decode()
    assert "\nworkflowexecution_locks_held 1.0" in text
    assert "\nworkflowexecution_lock_oldest_age_seconds 60.0" in text
    assert "\nworkflowexecution_consecutive_failures 5.0" in text
    assert "\nworkflowexecution_targets_failing 2.0" in text
    assert 'workflowexecution_executions{phase="Failed"} 3.0' in text
    held.show()
    text = families.render().decode()
    assert "\nworkflowexecution_lock_oldest_age_seconds 0.0" in text
    assert "\nworkflowexecution_consecutive_failures 0.0" in text
    assert 'workflowexecution_executions{phase="Failed"} 0.0' in text
