"""What the figures ought to be, and what was measured of two other implementations.

The others were measured in plain bursts of 1,000 on a machine of the same kind: the Go
implementation with audit on, and a bare minimum over kopf.
"""

import dataclasses
from collections.abc import Callable

from tests.benchmark.results import Results
from tests.benchmark.subjects import Subject

# Without Kubernetes events and audit the controller has fewer requests to make.
_REQUESTS_BARE = 5.0
_REQUESTS_FULL = 8.0


@dataclasses.dataclass(frozen=True)
class Target:
    """One figure and its bound.

    Attributes:
        value: finds the figure in results; None where it was not measured.
        limit: the bound; None where the figure is there for comparison only.
        at_least: the bound is the least, not the most.
    """

    what: str
    unit: str
    value: Callable[[Results], float | None]
    limit: Callable[[Results], float] | None = None
    at_least: bool = False
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
        value = target.value(results)
        if value is not None:
            found.append(_row(target, value, results))
    return found


def _row(target: Target, value: float, results: Results) -> Row:
    wanted, met = "", None
    if target.limit is not None:
        limit = target.limit(results)
        met = value >= limit if target.at_least else value <= limit
        wanted = f"{'≥' if target.at_least else '≤'} {_text(limit, target.unit)}"
    return Row(
        what=target.what,
        value=_text(value, target.unit),
        target=wanted,
        met=met,
        go=target.go,
        kopf=target.kopf,
    )


def _text(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}".strip()


def _figure(
    scenario: str, name: str, subject: Subject | None = None
) -> Callable[[Results], float | None]:
    return lambda results: results.figure(scenario, name, subject)


def _floor(scenario: str) -> Callable[[Results], float | None]:
    return lambda results: results.figure(scenario, "finished_per_s", results.floor())


def _ratio(scenario: str) -> Callable[[Results], float | None]:
    return lambda results: results.ratio(scenario)


def _at(limit: float) -> Callable[[Results], float]:
    return lambda _: limit


def _requests(results: Results) -> float:
    return _REQUESTS_FULL if results.floor() is Subject.FLOOR_6 else _REQUESTS_BARE


def _above_rest(results: Results) -> float | None:
    peak, rest = results.figure("burst", "peak_mb"), results.figure("burst", "rest_mb")
    return peak - rest if peak is not None and rest is not None else None


TARGETS = (
    Target("burst, finished", "/s", _figure("burst", "finished_per_s"), _at(33), True, "22", "28"),
    Target("burst, reactive floor", "/s", _floor("burst")),
    Target("burst, share of the floor", "", _ratio("burst"), _at(0.6), True),
    Target("burst with TaskRuns, finished", "/s", _figure("burst-full", "finished_per_s")),
    Target("burst with TaskRuns, reactive floor", "/s", _floor("burst-full")),
    Target("burst with TaskRuns, share of the floor", "", _ratio("burst-full"), _at(0.85), True),
    Target(
        "burst, CPU per execution", "ms", _figure("burst", "cpu_ms"), _at(6), go="11.7", kopf="19"
    ),
    Target("burst with TaskRuns, CPU per execution", "ms", _figure("burst-full", "cpu_ms")),
    Target("steady 20/s, CPU per execution", "ms", _figure("steady", "cpu_ms")),
    Target(
        "burst, API requests per execution",
        "",
        _figure("burst", "requests"),
        _requests,
        go="12.3",
        kopf="8",
    ),
    Target(
        "burst of 100, API requests per execution to its deletion",
        "",
        _figure("burst-small", "requests_whole_life"),
        _at(11),
    ),
    Target(
        "burst, run done to terminal, p99",
        "s",
        _figure("burst", "end_p99_s"),
        _at(5),
        go="17.6",
        kopf="13.5",
    ),
    Target("burst, run done to terminal, p50", "s", _figure("burst", "end_p50_s")),
    Target(
        "steady 20/s, run done to terminal, p99",
        "s",
        _figure("steady", "end_p99_s"),
        _at(0.1),
        go="8.3",
        kopf="0.4",
    ),
    Target("steady 20/s, run done to terminal, p50", "s", _figure("steady", "end_p50_s")),
    Target(
        "burst, created to PipelineRun, p99",
        "s",
        _figure("burst", "start_p99_s"),
        _at(10),
        go="22",
        kopf="20",
    ),
    Target("burst, created to PipelineRun, p50", "s", _figure("burst", "start_p50_s")),
    Target(
        "burst of 100, created to PipelineRun, p99",
        "s",
        _figure("burst-small", "start_p99_s"),
        _at(1),
    ),
    Target(
        "steady 20/s, created to PipelineRun, p99",
        "s",
        _figure("steady", "start_p99_s"),
        _at(0.1),
        go="0.8",
        kopf="1.2",
    ),
    Target("steady 20/s, created to PipelineRun, p50", "s", _figure("steady", "start_p50_s")),
    Target(
        "start with 10,000 + 10,000, ready",
        "s",
        _figure("start", "ready_s"),
        _at(10),
        go="11",
        kopf="18",
    ),
    Target(
        "start with 10,000 + 10,000, peak memory",
        "MB",
        _figure("start", "peak_mb"),
        _at(170),
        go="545-600",
        kopf="1000",
    ),
    Target("start with 10,000 + 10,000, writes", "", _figure("start", "writes"), _at(0), go="few"),
    Target("burst, peak memory", "MB", _figure("burst", "peak_mb"), _at(106), go="106", kopf="159"),
    Target("burst, peak memory above rest", "MB", _above_rest, _at(50)),
)
