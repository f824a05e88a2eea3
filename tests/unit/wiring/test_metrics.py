from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from tests import builders
from tests.unit.adapters.fakes import FakeClient
from tests.unit.runtime.authority import Authority
from workflowexecution.adapters.prometheus import book, moment, records
from workflowexecution.domain import locking
from workflowexecution.domain.events import Reason
from workflowexecution.reconciler import view
from workflowexecution.settings import Controller
from workflowexecution.wiring import metrics

NOW = builders.NOW + datetime.timedelta(seconds=100)
project = view.projection("", "")


def seen(name: str, target: str = "", **status: Any) -> view.Execution:  # noqa: ANN401
    return project(
        builders.raw_execution(
            name, spec={"targetResource": f"a/deployment/{target or name}"}, status=status
        )
    )


def failed(name: str, target: str, count: object, at_s: float = 0) -> view.Execution:
    return seen(
        name, target, phase="Failed", consecutiveFailures=count, completionTime=builders.stamp(at_s)
    )


def test_census_counts_phases_and_names_all_of_them() -> None:
    found = metrics.take_census([seen("a", phase="Running"), seen("b")], NOW)
    assert found.phases == {
        "Pending": 1, "Running": 1, "Completed": 0, "Failed": 0, "Skipped": 0,
    }  # fmt: skip


def test_a_running_execution_holds_a_lock_from_its_start() -> None:
    others = view.projection("elsewhere", "")(
        builders.raw_execution("c", status={"phase": "Running"})
    )
    executions = [
        seen("a", phase="Running", startTime=builders.stamp(40)),
        seen("b", phase="Running", startTime=builders.stamp(400)),
        seen("d", phase="Running"),
        others,
    ]
    assert metrics.take_census(executions, NOW).lock_ages_s == [60, 0, 0]


def test_failures_of_a_target_are_those_of_its_last_end() -> None:
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
    assert metrics.take_census(executions, NOW).failures == [3]


def test_census_becomes_gauges_without_a_target() -> None:
    families = book.Book()
    executions = [
        failed("a", "a", 5),
        failed("b", "b", 3),
        failed("c", "c", 2),
        seen("d", phase="Running", startTime=builders.stamp(40)),
    ]
    moment.add_executions(families, lambda: metrics.take_census(executions, NOW))
    text = families.render().decode()
    assert "\nworkflowexecution_locks_held 1.0" in text
    assert "\nworkflowexecution_lock_oldest_age_seconds 60.0" in text
    assert "\nworkflowexecution_consecutive_failures 5.0" in text
    assert "\nworkflowexecution_targets_failing 2.0" in text
    assert 'workflowexecution_executions{phase="Failed"} 3.0' in text
    executions.clear()
    text = families.render().decode()
    assert "\nworkflowexecution_lock_oldest_age_seconds 0.0" in text
    assert "\nworkflowexecution_consecutive_failures 0.0" in text
    assert 'workflowexecution_executions{phase="Failed"} 0.0' in text


def start(**controller: Any) -> list[str]:  # noqa: ANN401 - settings
    """Build the services; returns the warnings."""
    with structlog.testing.capture_logs() as logs:
        metrics.services(Controller.model_validate(controller), metrics.Meters(), FakeClient())
    return [line["key"] for line in logs]


def test_tokens_without_tls_bring_a_warning(tmp_path: Path) -> None:
    cert, key = map(str, Authority(tmp_path).issue("server"))
    assert start() == ["controller.metricsTLS"]
    assert start(metricsAuth=False) == []
    assert start(metricsTLS={"certFile": cert, "keyFile": key}) == []


def test_certificate_that_cannot_be_used_is_named_with_its_setting(tmp_path: Path) -> None:
    missing = {"certFile": str(tmp_path / "c"), "keyFile": str(tmp_path / "k")}
    with pytest.raises(metrics.CertificateError, match=r"controller\.metricsTLS: .*No such file"):
        start(metricsTLS=missing)
    (tmp_path / "c").write_text("nonsense")
    (tmp_path / "k").write_text("nonsense")
    with pytest.raises(metrics.CertificateError, match=r"controller\.metricsTLS: "):
        start(metricsTLS=missing)


DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


class Idle:
    """Queue, workers and informer in one, with nothing to do."""

    active = 0
    last_event_age_s = 0.0
    poisoned = 0

    def __len__(self) -> int:
        return 0

    def working_s(self) -> list[float]:
        return []


def everything() -> book.Book:
    """The families of the whole program."""
    families, idle = metrics.Meters().book, Idle()
    moment.add_executions(families, lambda: metrics.take_census([], NOW))
    moment.add_work(families, work=idle, workers=idle, most_workers=1)
    moment.add_watches(families, {"pipelineruns": idle}, {"pipelineruns": idle.__len__})
    moment.add_backlog(families, parked=idle.__len__, events=idle.__len__, skew_s=float)
    records.add_audit(families, counts=dict, waiting=idle.__len__, breaker=str)
    records.add_leader(families, name="lease", leading=bool)
    return families


def test_metrics_are_documented_as_they_are() -> None:
    row = r"^\| `\w+` \| (?:counter|gauge|histogram) \| .*$"
    written = re.findall(row, DOCUMENT.read_text("utf-8"), re.MULTILINE)
    rows = [
        f"| `{it.name}` | {it.kind} | {', '.join(f'`{label}`' for label in it.labels)} "
        f"| {it.help_text} |".replace("  ", " ")
        for it in everything().families
    ]
    assert sorted(written) == sorted(rows)


def test_events_are_documented_as_they_are() -> None:
    written = re.findall(
        r"^\| `(\w+)` \| (?:Normal|Warning) \|", DOCUMENT.read_text(), re.MULTILINE
    )
    assert sorted(written) == sorted(Reason)


def test_everything_can_be_read_when_nothing_has_happened() -> None:
    text = everything().render().decode()
    assert "workflowexecution_parked_keys 0.0" in text
    assert 'workflowexecution_cached_objects{resource="pipelineruns"} 0.0' in text
    assert 'workqueue_longest_running_processor_seconds{name="workflowexecution"} 0.0' in text
    assert float(text.partition("\nprocess_resident_memory_bytes ")[2].split()[0]) > 1e6
    assert float(text.partition("\nprocess_cpu_seconds_total ")[2].split()[0]) > 0
    assert "target" not in {label for it in everything().families for label in it.labels}
