"""The benchmark's command: what is kept when a scenario fails."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.benchmark import __main__ as command
from tests.benchmark import machine, results
from tests.benchmark.catalog import Scenario
from tests.benchmark.measure import Measurement, Plan
from tests.benchmark.subjects import Subject
from tests.support.processes import Failed
from tests.unit.benchmark.test_results import FACTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The command takes signals over for good."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def measured(plan: Plan, _: Path) -> Measurement:
    return Measurement(plan.scenario, plan.subject.value, "plain", plan.size, 0.1, {}, {})


def failing(_: Plan, __: Path) -> Measurement:
    message = "the controller does not come to rest"
    raise Failed(message)


def test_what_was_measured_before_a_scenario_fails_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    takes: dict[str, Any] = {"lock": measured, "rest": failing, "size": measured}
    scenarios = {it: Scenario(Plan(it, Subject.CONTROLLER, 10), takes[it]) for it in takes}
    monkeypatch.setattr(command, "SCENARIOS", scenarios)
    monkeypatch.setattr(machine, "facts", lambda: FACTS)
    assert command.main(["--output", str(tmp_path)]) == 1
    assert "error: the controller does not come to rest" in capsys.readouterr().err
    (kept,) = results.newest(tmp_path)
    assert [it.scenario for it in kept.measurements] == ["lock"]


def test_nothing_is_kept_where_nothing_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        command, "SCENARIOS", {"rest": Scenario(Plan("rest", Subject.CONTROLLER, 10), failing)}
    )
    monkeypatch.setattr(machine, "facts", lambda: FACTS)
    assert command.main(["--output", str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        pytest.param([], True, id="whole"),
        pytest.param(["--repeat", "2"], True, id="more-rounds"),
        pytest.param(["--scenario", "lock"], True, id="one-scenario"),
        pytest.param(["--size", "9"], False, id="smaller"),
        pytest.param(["--limit", "9"], False, id="shorter"),
        pytest.param(["--run-duration", "9"], False, id="longer-runs"),
        pytest.param(["--audit", "off"], False, id="less-audit"),
        pytest.param(["--subject", "floor4"], False, id="without-the-controller"),
        pytest.param(["--profile"], False, id="slowed-down"),
        pytest.param(["--crd", "some.yaml"], False, id="another-crd"),
        pytest.param(["--no-save"], False, id="not-wanted"),
    ],
)
def test_whole_scenarios_alone_are_kept_among_the_others(
    options: list[str], kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios = {"lock": Scenario(Plan("lock", Subject.CONTROLLER, 10), measured)}
    monkeypatch.setattr(command, "SCENARIOS", scenarios)
    monkeypatch.setattr(machine, "facts", lambda: FACTS)
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert command.main(options) == 0
    assert bool(list(tmp_path.iterdir())) is kept


def test_what_is_changed_is_kept_where_one_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios = {"lock": Scenario(Plan("lock", Subject.CONTROLLER, 10), measured)}
    monkeypatch.setattr(command, "SCENARIOS", scenarios)
    monkeypatch.setattr(machine, "facts", lambda: FACTS)
    assert command.main(["--size", "9", "--output", str(tmp_path)]) == 0
    (kept,) = results.newest(tmp_path)
    assert [it.size for it in kept.measurements] == [9]
