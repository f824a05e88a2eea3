"""One measurement: what it refuses to be taken for."""

from typing import Any

import pytest

from tests.benchmark import load, measure
from tests.benchmark.auditlog import Request
from tests.benchmark.measure import Plan
from tests.benchmark.subjects import Subject
from tests.support.processes import Failed

AGENT = "workflowexecution/"


def request(resource: str, agent: str = f"{AGENT}1.0 (host-7)") -> Request:
    return Request(agent, "patch", resource, "x", 200, 1.0, 1.1)


class Audit:
    """What is asked between two looks."""

    def __init__(self, *looks: list[Request]) -> None:
        self._looks = list(looks)

    def refresh(self) -> list[Request]:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


class Running:
    """A subject that has not ended."""

    agent = AGENT

    def __init__(self) -> None:
        self.process: Any = self

    def check(self) -> None:
        """It goes on."""


def settle(*looks: list[Request]) -> list[Request]:
    audit: Any = Audit(*looks)
    running: Any = Running()
    return measure.settle(audit, running)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_SETTLED_S", 0.001)
    monkeypatch.setattr(measure, "_SETTLE_LIMIT_S", 0.05)


def test_all_is_counted_until_the_subject_asks_for_nothing_but_its_lease() -> None:
    event, other = request("events"), request("pipelineruns", "tekton/1")
    looks = [event, event], [event, other], [other, request("leases")], [event]
    assert settle(*looks) == [event, event, event, other, other, request("leases")]


def test_a_subject_that_goes_on_asking_is_not_measured() -> None:
    with pytest.raises(Failed, match="still asks"):
        settle([request("events")])


def course(seconds: float, size: int = 40) -> load.Course:
    sent = {number: number * seconds / size for number in range(size)}
    done = {number: at + 1.0 for number, at in sent.items()}
    return load.Course(sent=sent, terminal=done, created=seconds)


def test_a_load_slower_than_asked_for_is_not_measured() -> None:
    plan = Plan("steady", Subject.CONTROLLER, 40, rate=20.0)
    assert measure.speed(plan, course(2.05))["created_per_s"] == pytest.approx(19.5, abs=0.1)
    with pytest.raises(Failed, match=r"created 18\.2 a second, not 20"):
        measure.speed(plan, course(2.2))


def test_a_burst_is_as_fast_as_it_is() -> None:
    plan = Plan("burst", Subject.CONTROLLER, 40)
    assert measure.speed(plan, course(4.0))["created_per_s"] == 10.0
