"""Gaps and doubles between what executions must have left and what is there."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from workflowexecution.domain import auditcheck, auditevent
from workflowexecution.domain.audit import Transition


def event(name: str, namespace: str = "payment") -> auditevent.Event:
    execution = builders.execution(name, metadata={"namespace": namespace})
    return auditevent.build(execution, Transition.CREATED, auditevent.Style())


def bare(of: auditevent.Event, **members: object) -> dict[str, Any]:
    """A row of a server that does not keep our key."""
    return {**of.document, "event_data": {}, **members}


ONE, TWO = event("one"), event("two")


def test_what_is_there_once_is_right() -> None:
    report = auditcheck.compare([ONE, TWO], [ONE.document, TWO.document])
    assert report == auditcheck.Report((), (), 2, 0)


def test_what_is_missing_or_doubled_is_named() -> None:
    report = auditcheck.compare([ONE, TWO], [ONE.document, ONE.document])
    named = "workflowexecution.workflow.created 2026-03-01T12:00:00.000Z"
    assert report.missing == (f"payment/two {named}",)
    assert report.doubled == ((f"payment/one {named}", 2),)
    assert (report.matched, report.others) == (1, 0)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(bare(ONE), id="natural"),
        pytest.param(bare(ONE, namespace=None), id="no-namespace"),
        pytest.param(bare(ONE, event_timestamp="2026-03-01T12:00:00"), id="no-zone"),
        pytest.param(bare(ONE, event_timestamp="2026-03-01T13:00:00+01:00"), id="spelling"),
        pytest.param(bare(ONE, event_data=None), id="no-data"),
    ],
)
def test_rows_without_our_key_are_told_by_their_nature(row: dict[str, Any]) -> None:
    assert auditcheck.compare([ONE], [row]).matched == 1
    assert auditcheck.compare([ONE], [row, row]).doubled[0][1] == 2


@pytest.mark.parametrize("when", ["soon", None])
def test_rows_that_nothing_expects_are_counted(when: str | None) -> None:
    rows = [ONE.document, TWO.document, bare(TWO, event_timestamp=when), {}]
    report = auditcheck.compare([ONE], rows)
    assert (report.matched, report.others, report.missing) == (1, 3, ())


def test_doubles_of_executions_that_are_gone_are_told_too() -> None:
    assert auditcheck.compare([], [TWO.document] * 3).doubled[0][1] == 3


def test_without_a_namespace_rows_match_once() -> None:
    cluster_wide = event("one", namespace="")
    assert auditcheck.compare([cluster_wide], [bare(cluster_wide)]).others == 0


@pytest.mark.parametrize(
    "odd",
    [
        {"resource_id": ["a"]},
        {"event_type": {}},
        {"event_timestamp": {}},
        {"namespace": ["a"]},
        {"event_type": 5, "namespace": 5},
    ],
)
def test_rows_of_an_odd_form_are_others(odd: dict[str, Any]) -> None:
    row = {**bare(ONE), **odd}
    report = auditcheck.compare([ONE], [ONE.document, row])
    assert (report.matched, report.others, report.missing) == (1, 1, ())
    assert auditcheck.compare([], [row, row]).doubled[0][1] == 2
