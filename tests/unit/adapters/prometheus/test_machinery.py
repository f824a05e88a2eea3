import pytest

from workflowexecution.adapters import losses
from workflowexecution.adapters.prometheus import book, eventcount, incidents, machinery
from workflowexecution.runtime.controller import Outcome
from workflowexecution.runtime.queue import Priority


@pytest.fixture
def made() -> book.Book:
    return book.Book()


def values(of: book.Book, *, scraped: bool = False) -> dict[str, float]:
    rows = (
        line.rpartition(" ")
        for line in of.render(scraped=scraped).decode().splitlines()
        if not line.startswith("#")
    )
    return {name: float(number) for name, _, number in rows}


def test_queue_is_counted_under_the_names_of_client_go(made: book.Book) -> None:
    work = machinery.Work(made)
    work.added(Priority.HIGH)
    work.started(0.2)
    work.done(3.0)
    work.retried()
    found = values(made)
    label = 'name="workflowexecution"'
    assert found[f"workqueue_adds_total{{{label}}}"] == 1
    assert found[f"workqueue_retries_total{{{label}}}"] == 1
    assert found[f"workqueue_queue_duration_seconds_sum{{{label}}}"] == 0.2
    assert found[f"workqueue_work_duration_seconds_sum{{{label}}}"] == 3


@pytest.mark.parametrize(
    ("outcome", "result", "failed", "terminal"),
    [
        (Outcome.SUCCESS, "success", 0, 0),
        (Outcome.CONFLICT, "requeue", 0, 0),
        (Outcome.THROTTLED, "requeue", 0, 0),
        (Outcome.ERROR, "error", 1, 0),
        (Outcome.TERMINAL_ERROR, "error", 1, 1),
    ],
)
def test_reconcile_is_counted_by_its_result(
    made: book.Book, outcome: Outcome, result: str, failed: int, terminal: int
) -> None:
    machinery.Reconciles(made).reconciled(outcome, 0.5)
    found = values(made)
    label = 'controller="workflowexecution"'
    total = {
        name: f'controller_runtime_reconcile_total{{{label},result="{name}"}}'
        for name in ("success", "requeue", "error")
    }
    assert {name: found[key] for name, key in total.items()} == {
        "success": 0, "requeue": 0, "error": 0, result: 1,
    }  # fmt: skip
    assert found[f"controller_runtime_reconcile_errors_total{{{label}}}"] == failed
    assert found[f"controller_runtime_terminal_reconcile_errors_total{{{label}}}"] == terminal
    assert found[f"controller_runtime_reconcile_time_seconds_count{{{label}}}"] == 1


def test_requests_are_counted_by_status_and_method(made: book.Book) -> None:
    seen = machinery.Requests(made)
    seen.answered("PATCH", 200)
    seen.answered("PATCH", 200)
    seen.answered("PATCH", 409)
    seen.unanswered("POST")
    found = values(made)
    assert found == {
        'rest_client_requests_total{code="200",method="PATCH"}': 2,
        'rest_client_requests_total{code="409",method="PATCH"}': 1,
        'rest_client_requests_total{code="<error>",method="POST"}': 1,
    }


def test_lags_of_cache_and_loop_are_apart(made: book.Book) -> None:
    lags = machinery.Lags(made)
    lags.caught_up(0.25)
    lags.turned(0.5)
    found = values(made)
    assert found["workflowexecution_cache_lag_seconds_sum"] == 0.25
    assert found["workflowexecution_event_loop_lag_seconds_sum"] == 0.5


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("lock_evicted", "lock_evictions"),
        ("late_run_cancelled", "late_runs_cancelled"),
        ("foreign_run_met", "foreign_runs"),
        ("cancel_stuck", "cancellations_stuck"),
        ("deletion_given_up", "deletions_given_up"),
    ],
)
def test_incident_is_counted_under_its_own_name(made: book.Book, call: str, name: str) -> None:
    counting = incidents.Incidents(made)
    getattr(counting, call)()
    assert set(values(made, scraped=True).values()) == {0.0}
    found = values(made, scraped=True)
    assert found.pop(f"workflowexecution_{name}_total") == 1
    assert set(found.values()) == {0.0}


def test_events_are_counted_by_what_becomes_of_them(made: book.Book) -> None:
    counting = eventcount.EventCounts(made)
    values(made)
    counting.written()
    for why in losses.Why:
        counting.dropped(why)
    assert values(made) == {
        "workflowexecution_events_written_total": 1,
        'workflowexecution_events_dropped_total{why="full"}': 1,
        'workflowexecution_events_dropped_total{why="refused"}': 1,
        'workflowexecution_events_dropped_total{why="failed"}': 1,
    }
