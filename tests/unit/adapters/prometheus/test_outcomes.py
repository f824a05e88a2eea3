from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from workflowexecution import ports
from workflowexecution.adapters.prometheus import book, outcomes
from workflowexecution.api.status import Status
from workflowexecution.runtime.resource import ObjectKey

SKIP = {"message": "m", "skippedAt": builders.stamp()}


class Rig:
    """Outcomes over a book of their own."""

    def __init__(self) -> None:
        self.book = book.Book()
        self.outcomes = outcomes.Outcomes(self.book)

    def write(self, phase: str, *, before: str = "", workflow: str = "w", **said: Any) -> None:  # noqa: ANN401
        reference = {"workflowId": workflow, "version": "1", "containerImage": "i"}
        execution = builders.execution(status={"phase": before}, spec={"workflowRef": reference})
        after = Status.model_validate({"phase": phase, **said} if phase else said)
        key = ObjectKey("payment", "x")
        self.outcomes.wrote(ports.StatusWrite(key, execution, after, builders.NOW))

    def end(self, outcome: str = "Success", after_s: float = 7, workflow: str = "w") -> None:
        self.write(
            "Completed" if outcome == "Success" else "Failed",
            before="Running",
            workflow=workflow,
            outcome=outcome,
            startTime=builders.stamp(),
            completionTime=builders.stamp(after_s),
        )

    def lines(self, name: str, *, scraped: bool = False) -> list[str]:
        """What a person reads, or Prometheus."""
        text = self.book.render(scraped=scraped).decode()
        return [line for line in text.splitlines() if line.startswith(name)]


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.requirement("BR-WF-008", "Metrics updated on execution completion")
@pytest.mark.requirement("BR-WF-008", "Labels include outcome and workflow_id")
@pytest.mark.parametrize("outcome", ["Success", "Failed", "Timeout", "Cancelled"])
def test_end_is_counted_by_outcome_and_workflow(rig: Rig, outcome: str) -> None:
    rig.end(outcome)
    assert rig.lines("workflowexecution_total") == [
        f'workflowexecution_total{{outcome="{outcome}",workflow_id="w"}} 1.0'
    ]
    labels = f'outcome="{outcome}",workflow_id="w"'
    assert f"workflowexecution_duration_seconds_sum{{{labels}}} 7.0" in rig.lines(
        "workflowexecution_duration"
    )


@pytest.mark.requirement("BR-WF-008", "Duration histogram with appropriate buckets")
def test_buckets_double_from_five_seconds_to_beyond_half_an_hour(rig: Rig) -> None:
    rig.end()
    buckets = [
        line.partition('le="')[2].partition('"')[0]
        for line in rig.lines("workflowexecution_duration_seconds_bucket")
    ]
    bounds = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 2560.0]
    assert buckets == [*map(str, bounds), "+Inf"]


def test_failure_before_a_run_has_no_duration(rig: Rig) -> None:
    rig.write("Failed", outcome="Failed", completionTime=builders.stamp())
    assert len(rig.lines("workflowexecution_total")) == 1
    assert rig.lines("workflowexecution_duration_seconds") == []


def test_clock_that_went_back_gives_no_negative_duration(rig: Rig) -> None:
    rig.end(after_s=-5)
    assert rig.lines("workflowexecution_duration_seconds_sum")[0].endswith(" 0.0")


def test_start_is_counted_once(rig: Rig) -> None:
    assert rig.lines("workflowexecution_pipelinerun_creation_total")[0].endswith(" 0.0")
    rig.write("Running", before="Pending")
    rig.write("Running", before="Running", progress="1/2")
    assert rig.lines("workflowexecution_pipelinerun_creation_total")[0].endswith(" 1.0")


@pytest.mark.parametrize(
    ("reason", "blocked"),
    [
        ("ResourceBusy", 0),
        ("RecentlyRemediated", 0),
        ("ExhaustedRetries", 1),
        ("PreviousExecutionFailed", 1),
    ],
)
def test_skip_is_counted_by_its_reason_and_not_as_an_execution(
    rig: Rig, reason: str, blocked: int
) -> None:
    assert len(rig.lines("workflowexecution_skip_total")) == 4
    rig.write("Skipped", outcome="Skipped", skipDetails={"reason": reason, **SKIP})
    assert f'workflowexecution_skip_total{{reason="{reason}"}} 1.0' in rig.lines(
        "workflowexecution_skip_total"
    )
    counted = [float(line.split()[-1]) for line in rig.lines("workflowexecution_backoff_skip")]
    assert (len(counted), sum(counted)) == (2, blocked)
    assert rig.lines("workflowexecution_total") == []


def test_outcomes_are_shown_at_nothing_once_an_execution_has_come_up(rig: Rig) -> None:
    rig.outcomes.expect("w")
    assert rig.lines("workflowexecution_total") == [
        f'workflowexecution_total{{outcome="{outcome}",workflow_id="w"}} 0.0'
        for outcome in ("Success", "Failed", "Timeout", "Cancelled")
    ]
    labels = 'outcome="Success",workflow_id="w"'
    assert f"workflowexecution_duration_seconds_count{{{labels}}} 0.0" in rig.lines(
        "workflowexecution_duration"
    )
    rig.end("Failed")
    rig.outcomes.expect("w")
    assert len(rig.lines("workflowexecution_total")) == 4
    assert 'workflowexecution_total{outcome="Failed",workflow_id="w"} 1.0' in rig.lines(
        "workflowexecution_total"
    )


def test_whatever_prometheus_reads_first_it_reads_at_nothing(rig: Rig) -> None:
    """An execution may come up and be refused between two scrapes, and people look meanwhile."""
    rig.end("Failed")
    rig.write("Running", before="Pending")
    reason = "ExhaustedRetries"
    rig.write("Skipped", skipDetails={"reason": reason, **SKIP})
    rig.end("Timeout")
    curl = rig.lines("workflowexecution_")
    first = rig.lines("workflowexecution_", scraped=True)
    between = rig.lines("workflowexecution_")
    then = rig.lines("workflowexecution_", scraped=True)
    for name in (
        'workflowexecution_total{outcome="Failed",workflow_id="w"}',
        'workflowexecution_duration_seconds_count{outcome="Timeout",workflow_id="w"}',
        "workflowexecution_pipelinerun_creation_total",
        f'workflowexecution_skip_total{{reason="{reason}"}}',
        f'workflowexecution_backoff_skip_total{{reason="{reason}"}}',
    ):
        one = f"{name} 1.0"
        assert (one in curl, f"{name} 0.0" in first, one in between, one in then) == (True,) * 4


def test_workflows_that_are_expected_are_two_hundred_at_most(rig: Rig) -> None:
    for number in range(300):
        rig.outcomes.expect(f"w-{number}")
    assert len(rig.lines("workflowexecution_total")) == 201 * 4


@pytest.mark.parametrize(
    ("before", "phase"),
    [("", "Pending"), ("Completed", "Completed"), ("Running", ""), ("Running", "Pending")],
)
def test_what_is_no_change_of_phase_counts_nothing(rig: Rig, before: str, phase: str) -> None:
    rig.write(phase, before=before)
    assert rig.lines("workflowexecution_total") == []
    assert rig.lines("workflowexecution_pipelinerun_creation_total")[0].endswith(" 0.0")


def test_skip_without_details_counts_nothing(rig: Rig) -> None:
    rig.write("Skipped", outcome="Skipped")
    assert {line.split()[-1] for line in rig.lines("workflowexecution_skip_total")} == {"0.0"}


def test_workflows_beyond_the_first_two_hundred_share_a_label(rig: Rig) -> None:
    for number in range(210):
        rig.end(workflow=f"w-{number}")
    rig.end(workflow="w-7")
    total = rig.lines("workflowexecution_total")
    assert len(total) == 201
    assert 'workflowexecution_total{outcome="Success",workflow_id="other"} 10.0' in total
    assert 'workflowexecution_total{outcome="Success",workflow_id="w-7"} 2.0' in total


def test_series_stay_as_many_under_ten_thousand_unique_executions(rig: Rig) -> None:
    def size() -> int:
        return len(rig.book.render().splitlines())

    for number in range(300):
        rig.end(workflow=f"w-{number}")
    before = size()
    for number in range(10_000):
        rig.end(workflow=f"w-{number}")
    assert size() == before


def test_clearance_is_counted_when_it_is_taken_up(rig: Rig) -> None:
    name = "workflowexecution_clearances_consumed_total"
    rig.write("Failed", before="Failed")
    assert rig.lines(name) == [f"{name} 0.0"]
    rig.write("Failed", before="Failed", clearanceRecordedAt=builders.stamp())
    assert rig.lines(name) == [f"{name} 1.0"]
    assert rig.lines("workflowexecution_total") == []
