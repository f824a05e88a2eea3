"""What the probes are answered with."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from workflowexecution.wiring import probes

LATE = probes.LATE_S + 1


@dataclass
class Part:
    """Loop, informer, workers and server in one, all well."""

    stuck_s: float = -10.0
    synced: bool = True
    overdue_s: float = -0.5
    away_s: float = 0.0
    rejected_s: float = 0.0
    missing: int = 0
    doubt_s: float = 0.0
    last_event_age_s: float = 60.0
    working_s: list[float] = field(default_factory=list)


def alive(part: Part) -> list[str]:
    """The reasons why not."""
    checks = probes.liveness(
        loop=part,
        watches={
            "executions": Informer(synced=part.synced, stuck_s=part.stuck_s),
            "runs": Informer(synced=True),
        },
        workers=part,
        working_s=lambda: part.working_s,
        reconcile_deadline_s=60,
    )
    return [reason for check in checks.values() if (reason := check()) is not None]


def ready(part: Part, engine: str = "", watch_idle_s: float = 90.0) -> list[str]:
    """The reasons why not."""
    watched = Informer(
        synced=part.synced,
        missing=bool(part.missing),
        doubt_s=part.doubt_s,
        last_event_age_s=part.last_event_age_s,
    )
    checks = probes.readiness(
        server=part,
        executions=watched,
        caches={"tasks": watched, "runs": Informer(synced=True)},
        engine=lambda: engine,
        watch_idle_s=watch_idle_s,
    )
    return [reason for check in checks.values() if (reason := check()) is not None]


@dataclass
class Informer:
    """One that is not stuck."""

    synced: bool
    missing: bool = False
    stuck_s: float = 0.0
    doubt_s: float = 0.0
    last_event_age_s: float = 60.0


@pytest.mark.parametrize(
    ("part", "reasons"),
    [
        pytest.param(Part(), [], id="well"),
        pytest.param(Part(away_s=1e6, rejected_s=1e6, synced=False), [], id="outage"),
        pytest.param(Part(working_s=[3.0, 89.0]), [], id="long-reconcile"),
        pytest.param(Part(overdue_s=LATE), ["the event loop is 31 s late"], id="loop"),
        pytest.param(Part(stuck_s=LATE), ["no sign of life from: executions"], id="watch"),
        pytest.param(Part(missing=2), ["2 workers are gone"], id="workers"),
        pytest.param(
            Part(working_s=[91.0]), ["a reconcile does not end, after 91 s"], id="reconcile"
        ),
    ],
)
def test_alive_is_what_does_all_that_is_due(part: Part, reasons: list[str]) -> None:
    assert alive(part) == reasons


@pytest.mark.parametrize(
    ("part", "reasons"),
    [
        pytest.param(Part(), [], id="well"),
        pytest.param(Part(away_s=9), [], id="away-shortly"),
        pytest.param(Part(away_s=12), ["the API server has not answered for 12 s"], id="away"),
        pytest.param(
            Part(rejected_s=31),
            ["the API server has rejected the credentials for 31 s"],
            id="rejected",
        ),
        pytest.param(Part(doubt_s=9), [], id="in-doubt-shortly"),
        pytest.param(
            Part(doubt_s=11),
            ["not listed since the API server was away, so all work waits: tasks"],
            id="in-doubt",
        ),
        pytest.param(Part(synced=False), ["executions have not been listed yet"], id="not-listed"),
        pytest.param(
            Part(missing=1),
            ["the WorkflowExecution API is not served: is the CRD installed?"],
            id="no-crd",
        ),
    ],
)
def test_ready_is_what_has_its_caches_and_its_server(part: Part, reasons: list[str]) -> None:
    assert ready(part) == reasons


@pytest.mark.parametrize(
    ("part", "watch_idle_s", "is_ready"),
    [
        pytest.param(Part(last_event_age_s=179), 90, True, id="quiet"),
        pytest.param(Part(last_event_age_s=181), 90, False, id="deaf"),
        pytest.param(Part(last_event_age_s=181), 120, True, id="may-be-silent-for-longer"),
        pytest.param(Part(last_event_age_s=241), 120, False, id="deaf-for-longer"),
    ],
)
def test_ready_is_what_hears_of_changes(part: Part, watch_idle_s: float, *, is_ready: bool) -> None:
    told = f"nothing heard for {max(180, 2 * watch_idle_s)} s of changes in: tasks"
    assert ready(part, watch_idle_s=watch_idle_s) == ([] if is_ready else [told])


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(Part(last_event_age_s=1e6, synced=False), id="never-listed"),
        pytest.param(Part(last_event_age_s=1e6, missing=1), id="not-served"),
    ],
)
def test_cache_that_others_tell_of_is_not_called_deaf(part: Part) -> None:
    (reason,) = ready(part)
    assert "nothing heard" not in reason


def test_ready_asks_for_the_engine() -> None:
    assert ready(Part(), engine="no Tekton") == ["no Tekton"]
