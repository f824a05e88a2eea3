from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from tests import builders
from tests.unit.adapters.fakes import FakeClient
from tests.unit.runtime.authority import Authority
from workflowexecution import identity
from workflowexecution.adapters.prometheus import book, moment, records
from workflowexecution.domain.events import Reason
from workflowexecution.reconciler import view
from workflowexecution.runtime import store
from workflowexecution.settings import Controller
from workflowexecution.wiring import metrics


def served(name: str, **parts: Any) -> view.Execution:  # noqa: ANN401
    return view.projection("", "")(builders.raw_execution(name, **parts))


def test_outcomes_are_expected_of_what_is_served_and_has_not_ended() -> None:
    meters = metrics.Meters(identity="unit")
    changed = metrics.expecting(meters.outcomes)
    elsewhere = view.projection("elsewhere", "")(builders.raw_execution("x"))
    ended = served("x", status={"phase": "Completed"})
    nameless = served("x", spec={"workflowRef": {}})
    for seen in (elsewhere, ended, nameless):
        changed(store.Delta(None, seen))
    changed(store.Delta(served("x"), None))
    assert b"workflow_id=" not in meters.book.render()
    changed(store.Delta(None, served("x")))
    assert meters.book.render().count(b"\nworkflowexecution_total{outcome=") == 4


def start(**controller: Any) -> list[str]:  # noqa: ANN401 - settings
    """Build the services; returns the warnings."""
    with structlog.testing.capture_logs() as logs:
        metrics.services(
            Controller.model_validate(controller), metrics.Meters(identity="unit"), FakeClient()
        )
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

    applied = refused = 0
    current = True
    waiting = ()
    active = depth = 0
    workers = 1
    last_event_age_s = 0.0
    poisoned = 0
    doubt_s = 0.0
    away_s = 0.0

    def __len__(self) -> int:
        return 0

    def working_s(self) -> list[float]:
        return []

    def oldest_s(self) -> float:
        return 0.0


def everything() -> book.Book:
    """The families of the whole program."""
    families, idle = metrics.Meters(identity="unit").book, Idle()
    moment.add_executions(families, moment.Census)
    moment.add_work(families, work=idle, workers=idle)
    moment.add_engine(families, str)
    moment.add_watches(families, {"pipelineruns": idle}, {"pipelineruns": idle.__len__})
    moment.add_server(families, idle, skipped=lambda: 3)
    moment.add_backlog(families, parked=idle.__len__, events=idle.__len__, skew_s=float)
    records.add_audit(families, counts=dict, waiting=idle.__len__, breaker=lambda: None)
    records.add_leader(families, name="lease", leading=bool, left_s=float)
    records.add_settings(families, idle)
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
    carried = f'identity="unit",version="{identity.version()}"'
    assert f"workflowexecution_build_info{{{carried}}} 1.0" in text
    assert "workflowexecution_engine_available 1.0" in text
    assert "workflowexecution_watch_events_skipped_total 3.0" in text
    assert 'workflowexecution_cached_objects{resource="pipelineruns"} 0.0' in text
    assert 'workqueue_longest_running_processor_seconds{name="workflowexecution"} 0.0' in text
    assert float(text.partition("\nprocess_resident_memory_bytes ")[2].split()[0]) > 1e6
    assert float(text.partition("\nprocess_cpu_seconds_total ")[2].split()[0]) > 0
    assert "target" not in {label for it in everything().families for label in it.labels}
