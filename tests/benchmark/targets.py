"""What the figures ought to be, and what was measured of two other implementations.

The others were measured in plain bursts of 1,000 on a machine of the same kind: the Go
implementation with audit on, and a bare minimum over kopf.
"""

import dataclasses
import statistics
from collections.abc import Callable

from tests.benchmark.results import Results
from tests.benchmark.subjects import Subject

_TITLES = {
    "burst": "burst of {size:,}",
    "burst-full": "burst of {size:,} with TaskRuns",
    "burst-small": "burst of {size:,}",
    "steady": "20 a second",
    "start": "start with {size:,} executions and runs",
    "lock": "index check of the lock among {size:,} executions",
    "size": "cache of 1,000 to {size:,} objects",
    "burst-unaudited": "burst of {size:,} without audit",
    "burst-stored": "burst of {size:,} with a Data Storage",
    "burst-large": "burst of {size:,}",
    "steady-5": "5 a second for 3 minutes",
    "steady-10": "10 a second for 3 minutes",
    "steady-20": "20 a second for 3 minutes",
    "start-crowded": "start with {size:,} executions and runs among 50,000 runs",
    "start-late": "start with {size:,} executions and runs past retention",
    "rest": "{size:,} live runs at rest",
    "failover": "leader killed at 20 a second",
}
# Without Kubernetes events and audit the controller has fewer requests to make.
_REQUESTS_BARE = 5.0
_REQUESTS_FULL = 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """One figure of one scenario, and its bound.

    Attributes:
        value: finds the figure in the results; None where it was not measured.
        most: the bound from above, or a function of the results.
        least: the bound from below; with neither, the figure is there for comparison.
        go: the same figure of the Go implementation.
        kopf: the same figure of the bare minimum over kopf.
    """

    scenario: str
    what: str
    unit: str = ""
    value: Callable[[Results, str], float | None]
    most: float | Callable[[Results], float] | None = None
    least: float | None = None
    go: str = ""
    kopf: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: str
    target: str
    met: bool | None
    go: str
    kopf: str


def rows(results: Results) -> list[Row]:
    """Compare what was measured with the targets; what was not measured is left out."""
    found = []
    for target in TARGETS:
        value = target.value(results, target.scenario)
        if value is not None:
            found.append(_row(target, value, results))
    return found


def _row(target: Target, value: float, results: Results) -> Row:
    wanted, met = "", None
    if target.least is not None:
        wanted, met = f"≥ {_text(target.least, target.unit)}", value >= target.least
    elif target.most is not None:
        most = target.most(results) if callable(target.most) else target.most
        wanted, met = f"≤ {_text(most, target.unit)}", value <= most
    if met and not results.is_whole(target.scenario):
        met = False
    title = _TITLES[target.scenario].format(size=results.size(target.scenario))
    return Row(
        what=f"{title}: {target.what}",
        value=_text(value, target.unit),
        target=wanted,
        met=met,
        go=target.go,
        kopf=_peer(target, results) or target.kopf,
    )


def _peer(target: Target, results: Results) -> str:
    """The same figure of the kopf peer, where it ran beside the controller."""
    if target.value in (_floor, _floor_start):
        return ""
    value = target.value(results.of(Subject.KOPF), target.scenario)
    return "" if value is None else _text(value, target.unit)


def _text(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}".strip()


def _figure(name: str) -> Callable[[Results, str], float | None]:
    return lambda results, scenario: results.figure(scenario, name)


def _floor(results: Results, scenario: str) -> float | None:
    return results.figure(scenario, "finished_per_s", results.floor())


def _ratio(results: Results, scenario: str) -> float | None:
    return results.ratio(scenario)


def _cpu_of_floors(results: Results, scenario: str) -> float | None:
    """What deciding costs beside writing: a figure that the machine's mood changes little."""
    return results.ratio(scenario, "cpu_ms")


def _floor_start(results: Results, scenario: str) -> float | None:
    return results.figure(scenario, "start_p99_s", results.floor())


def _uncompleted(results: Results, scenario: str) -> float | None:
    completed, size = results.figure(scenario, "completed"), results.size(scenario)
    return None if completed is None or size is None else size - completed


def _requests(results: Results) -> float:
    return _REQUESTS_FULL if results.floor() is Subject.FLOOR_6 else _REQUESTS_BARE


def _above_rest(results: Results, scenario: str) -> float | None:
    peaks = results.rounds(scenario, "peak_mb", Subject.CONTROLLER)
    rests = results.rounds(scenario, "rest_mb", Subject.CONTROLLER)
    above = [peak - rest for peak, rest in zip(peaks, rests, strict=False)]
    return statistics.median(above) if above else None


_CREATED, _FINISHED = _figure("created_per_s"), _figure("finished_per_s")
_CPU = _figure("cpu_ms")
_START_P50, _START_P99 = _figure("start_p50_s"), _figure("start_p99_s")
_END_P50, _END_P99 = _figure("end_p50_s"), _figure("end_p99_s")

_FINISHED_TEXT, _FLOOR_TEXT = "finished", "finished by the reactive floor"
_RSS, _RSS_TEXT = _figure("rss_mb"), "memory in the end"
_RATIO_TEXT = "share of the reactive floor"
_CPU_TEXT = "CPU per execution"
_START_TEXT, _END_TEXT = "created to PipelineRun", "run done to terminal status"

TARGETS = (
    Target(
        scenario="burst",
        what=_FINISHED_TEXT,
        value=_FINISHED,
        unit="/s",
        least=33,
        go="22",
        kopf="28",
    ),
    Target(scenario="burst", what="created", value=_CREATED, unit="/s"),
    Target(scenario="burst", what=_FLOOR_TEXT, value=_floor, unit="/s"),
    Target(scenario="burst", what=_RATIO_TEXT, value=_ratio, least=0.6),
    Target(scenario="burst-full", what=_FINISHED_TEXT, value=_FINISHED, unit="/s"),
    Target(scenario="burst-full", what=_FLOOR_TEXT, value=_floor, unit="/s"),
    Target(scenario="burst-full", what=_RATIO_TEXT, value=_ratio, least=0.85),
    Target(scenario="burst", what=_CPU_TEXT, value=_CPU, unit="ms", most=6, go="11.7", kopf="19"),
    Target(scenario="burst", what=f"{_CPU_TEXT}, times the floor's", value=_cpu_of_floors),
    Target(scenario="burst-full", what=_CPU_TEXT, value=_CPU, unit="ms"),
    Target(scenario="steady", what=_CPU_TEXT, value=_CPU, unit="ms"),
    Target(
        scenario="burst",
        what="API requests per execution",
        value=_figure("requests"),
        most=_requests,
        go="12.3",
        kopf="8",
    ),
    Target(
        scenario="burst-small",
        what="API requests per execution, to its deletion",
        value=_figure("requests_whole_life"),
        most=11,
    ),
    Target(
        scenario="burst",
        what=f"{_END_TEXT}, p99",
        value=_END_P99,
        unit="s",
        most=5,
        go="17.6",
        kopf="13.5",
    ),
    Target(scenario="burst", what=f"{_END_TEXT}, p50", value=_END_P50, unit="s"),
    Target(
        scenario="steady",
        what=f"{_END_TEXT}, p99",
        value=_END_P99,
        unit="s",
        most=0.1,
        go="8.3",
        kopf="0.4",
    ),
    Target(scenario="steady", what=f"{_END_TEXT}, p50", value=_END_P50, unit="s"),
    Target(
        scenario="burst",
        what=f"{_START_TEXT}, p99",
        value=_START_P99,
        unit="s",
        most=10,
        go="22",
        kopf="20",
    ),
    Target(scenario="burst", what=f"{_START_TEXT}, p50", value=_START_P50, unit="s"),
    Target(scenario="burst-small", what=f"{_START_TEXT}, p99", value=_START_P99, unit="s", most=1),
    Target(
        scenario="steady",
        what=f"{_START_TEXT}, p99",
        value=_START_P99,
        unit="s",
        most=0.1,
        go="0.8",
        kopf="1.2",
    ),
    Target(scenario="steady", what=f"{_START_TEXT}, p50", value=_START_P50, unit="s"),
    Target(
        scenario="start",
        what="ready",
        value=_figure("ready_s"),
        unit="s",
        most=10,
        go="11",
        kopf="18",
    ),
    Target(
        scenario="start",
        what="peak memory",
        value=_figure("peak_mb"),
        unit="MB",
        most=170,
        go="545 to 600",
        kopf="1000",
    ),
    Target(scenario="start", what=_RSS_TEXT, value=_RSS, unit="MB"),
    Target(scenario="start", what="writes", value=_figure("writes"), most=0, go="few"),
    Target(
        scenario="lock",
        what="free target, median",
        value=_figure("free_p50_us"),
        unit="us",
        most=1000,
    ),
    Target(scenario="lock", what="free target, p99", value=_figure("free_p99_us"), unit="us"),
    Target(
        scenario="lock",
        what="target with 20 ended executions, median",
        value=_figure("past_p50_us"),
        unit="us",
        most=1000,
    ),
    Target(
        scenario="lock",
        what="target with 20 ended executions, p99",
        value=_figure("past_p99_us"),
        unit="us",
    ),
    Target(scenario="lock", what="API requests", value=_figure("live_reads"), most=0),
    Target(
        scenario="burst",
        what="peak memory",
        value=_figure("peak_mb"),
        unit="MB",
        most=106,
        go="106",
        kopf="159",
    ),
    Target(scenario="burst", what="peak memory above rest", value=_above_rest, unit="MB", most=50),
    *(
        Target(scenario=scenario, what=what, value=value, unit=unit, most=most)
        for scenario in ("steady-5", "steady-10", "steady-20")
        for what, value, unit, most in (
            (_CPU_TEXT, _CPU, "ms", None),
            (f"{_START_TEXT}, p99", _START_P99, "s", 0.1),
            (f"{_START_TEXT} by the reactive floor, p99", _floor_start, "s", None),
            (f"{_END_TEXT}, p99", _END_P99, "s", 0.1),
        )
    ),
    *(
        Target(scenario=scenario, what=what, value=value, unit=unit)
        for scenario in ("burst-large", "burst-unaudited", "burst-stored")
        for what, value, unit in (
            (_FINISHED_TEXT, _FINISHED, "/s"),
            (_RATIO_TEXT, _ratio, ""),
            (_CPU_TEXT, _CPU, "ms"),
            ("API requests per execution", _figure("requests"), ""),
            ("peak memory", _figure("peak_mb"), "MB"),
        )
    ),
    Target(scenario="start-crowded", what="ready", value=_figure("ready_s"), unit="s", most=10),
    Target(
        scenario="start-crowded", what="peak memory", value=_figure("peak_mb"), unit="MB", most=170
    ),
    Target(scenario="start-late", what="ready", value=_figure("ready_s"), unit="s", most=10),
    Target(
        scenario="start-late",
        what="deletions in the busiest second",
        value=_figure("deletions_per_s"),
        most=20,
    ),
    Target(scenario="rest", what="CPU", value=_figure("cpu_percent"), unit="%", most=1),
    Target(
        scenario="rest",
        what="API requests per minute",
        value=_figure("requests_per_minute"),
        most=60,
    ),
    Target(scenario="rest", what=_RSS_TEXT, value=_RSS, unit="MB"),
    Target(
        scenario="failover", what="runs created twice", value=_figure("runs_created_twice"), most=0
    ),
    Target(
        scenario="failover", what="without a leader", value=_figure("without_leader_s"), unit="s"
    ),
    Target(
        scenario="failover",
        what=f"{_START_TEXT}, longest",
        value=_figure("start_max_s"),
        unit="s",
    ),
    Target(scenario="failover", what=f"{_END_TEXT}, longest", value=_figure("end_max_s"), unit="s"),
    Target(scenario="failover", what="not completed", value=_uncompleted, most=0),
    *(
        Target(scenario="size", what=what, value=_figure(name), unit="B", most=most)
        for what, name, most in (
            ("an execution that has ended", "ended_execution_bytes", 1600),
            ("a live execution", "live_execution_bytes", 6000),
            ("a run", "run_bytes", 2500),
        )
    ),
)
