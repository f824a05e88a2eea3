"""The scenarios: what is measured, and what runs beside the controller in the same run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tests.benchmark import failover, lock, measure, rest, size, starts
from tests.benchmark.measure import Measurement, Plan
from tests.benchmark.recording import Audit
from tests.benchmark.subjects import Subject

_BURST, _LARGE_BURST, _SMALL_BURST = 1000, 5000, 100
_STORED = 10_000
_RATE, _SECONDS, _LONG_S = 20.0, 30, 180
_FULL_LIMIT_S, _LARGE_LIMIT_S, _REST_S = 300.0, 600.0, 600.0


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        plan: of the controller's measurement.
        take: how it is taken.
        floor: whether the reactive floor with the same writes runs beside it.
        beside: what else does.
        daily: whether it belongs to `make bench`; all belong to the suite.
    """

    plan: Plan
    take: Callable[[Plan, Path], Measurement] = measure.take
    floor: bool = False
    beside: tuple[Subject, ...] = ()
    daily: bool = True


def _steady(rate: float) -> Scenario:
    plan = Plan(f"steady-{rate:.0f}", Subject.CONTROLLER, int(rate * _LONG_S), rate=rate)
    return Scenario(plan, floor=True, daily=False)


_CONTROLLER = Subject.CONTROLLER
_ALL = (
    Scenario(
        Plan("burst", _CONTROLLER, _BURST), floor=True, beside=(Subject.FLOOR_4, Subject.KOPF)
    ),
    Scenario(
        Plan("burst-full", _CONTROLLER, _BURST, tekton="full", limit_s=_FULL_LIMIT_S), floor=True
    ),
    Scenario(Plan("burst-small", _CONTROLLER, _SMALL_BURST, whole_life=True)),
    Scenario(Plan("steady", _CONTROLLER, int(_RATE * _SECONDS), rate=_RATE)),
    Scenario(Plan("start", _CONTROLLER, _STORED), starts.take),
    Scenario(Plan("lock", _CONTROLLER, _STORED), lock.take),
    Scenario(Plan("size", _CONTROLLER, _STORED), size.take),
    Scenario(Plan("burst-unaudited", _CONTROLLER, _BURST, audit=Audit.OFF), daily=False),
    Scenario(Plan("burst-stored", _CONTROLLER, _BURST, audit=Audit.HTTP), daily=False),
    Scenario(
        Plan("burst-large", _CONTROLLER, _LARGE_BURST, limit_s=_LARGE_LIMIT_S),
        floor=True,
        daily=False,
    ),
    _steady(5.0),
    _steady(10.0),
    _steady(20.0),
    Scenario(Plan("start-crowded", _CONTROLLER, _STORED), starts.take_crowded, daily=False),
    Scenario(Plan("start-late", _CONTROLLER, _STORED), starts.take_late, daily=False),
    Scenario(Plan("rest", _CONTROLLER, _BURST, limit_s=_REST_S), rest.take, daily=False),
    Scenario(
        Plan("failover", _CONTROLLER, int(_RATE * 60), rate=_RATE), failover.take, daily=False
    ),
)
SCENARIOS = {each.plan.scenario: each for each in _ALL}
