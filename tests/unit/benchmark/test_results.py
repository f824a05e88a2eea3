"""What is kept of benchmarks, and which of it a table shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.benchmark import report, results, targets
from tests.benchmark.measure import Measurement
from tests.benchmark.subjects import Subject

if TYPE_CHECKING:
    from pathlib import Path

FACTS = {
    "cores": "2",
    "cpu": "x",
    "memory": "24 GiB",
    "kernel": "6.18.1",
    "python": "3.11",
    "kube-apiserver": "v1",
    "etcd": "3",
    "workflowexecution": "0",
    "commit": "c",
    "load average at start": "0.1",
}


def keep(folder: Path, date: str, **finished: float) -> None:
    """Keep a run that measured each of these scenarios."""
    measurements = [
        Measurement(
            scenario=scenario.replace("_", "-"),
            subject=Subject.CONTROLLER.value,
            tekton="plain",
            size=1000,
            load_average=0.1,
            figures={"finished_per_s": rate},
            requests={"create events": 2.0},
        )
        for scenario, rate in finished.items()
    ]
    results.save(results.Results(date, FACTS, measurements), [], folder)


def shown(folder: Path) -> list[tuple[str, dict[str, float]]]:
    return [
        (run.date[:10], {it.scenario: it.figures["finished_per_s"] for it in run.measurements})
        for run in results.newest(folder)
    ]


def test_nothing_is_newest_when_nothing_was_kept(tmp_path: Path) -> None:
    assert results.newest(tmp_path) == []


def test_each_scenario_is_shown_by_its_newest_run(tmp_path: Path) -> None:
    keep(tmp_path, "2026-01-01T00:00:00", burst=1.0, rest=2.0, steady=3.0)
    keep(tmp_path, "2026-01-03T00:00:00", rest=20.0)
    keep(tmp_path, "2026-01-02T00:00:00", rest=4.0, burst=10.0)
    assert shown(tmp_path) == [
        ("2026-01-03", {"rest": 20.0}),
        ("2026-01-02", {"burst": 10.0}),
        ("2026-01-01", {"steady": 3.0}),
    ]


def test_tables_of_several_runs_stand_one_after_the_other_with_the_picture_of_the_burst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, "2026-01-01T00:00:00", burst=41.0)
    keep(tmp_path, "2026-01-02T00:00:00", burst_large=42.0)
    page = tmp_path / "page.md"
    page.write_text(
        "before\n"
        "<!-- figures: made by `python -m tests.benchmark table --write` -->\n"
        "old\n"
        "<!-- end of figures -->\n"
        "after\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(report, "DOCUMENT", page)
    report.document(results.newest(tmp_path))
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert text.index("Measured 2026-01-02") < text.index("Measured 2026-01-01")
    assert ">41<" in (tmp_path / report.PICTURE).read_text(encoding="utf-8")


def test_page_without_marks_is_named(tmp_path: Path) -> None:
    keep(tmp_path, "2026-01-01T00:00:00", burst=41.0)
    page = tmp_path / "page.md"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no marks"):
        report.write(results.newest(tmp_path), page)


def rounds(scenario: str, *figures: dict[str, float], subject: str = "controller") -> list[Any]:
    """A round for each of these."""
    return [
        Measurement(
            scenario=scenario,
            subject=subject,
            tekton="plain",
            size=1000,
            load_average=0.1,
            figures=each,
            requests={"create events": 2.0},
        )
        for each in figures
    ]


def speeds(*found: float) -> list[dict[str, float]]:
    return [{"finished_per_s": it} for it in found]


def test_a_ratio_is_taken_in_each_round() -> None:
    """The floor's median is of a slower round than the controller's."""
    own = rounds("burst-full", *speeds(15.5, 18.9, 14.0))
    floors = rounds("burst-full", *speeds(17.5, 24.0, 18.0), subject="floor6")
    found = results.Results("2026-01-01", FACTS, [*own, *floors])
    assert found.ratio("burst-full") == 18.9 / 24.0
    shown = {it.what: it for it in targets.rows(found)}
    assert shown["burst of 1,000 with TaskRuns: share of the reactive floor"].met is False


def test_the_floor_has_no_peer() -> None:
    subjects = ("controller", "floor6", "kopf")
    measured = [it for who in subjects for it in rounds("burst", *speeds(40), subject=who)]
    found = targets.rows(results.Results("2026-01-01", FACTS, measured))
    assert {it.what.partition(": ")[2]: it.kopf for it in found} == {
        "finished": "40 /s",
        "finished by the reactive floor": "",
        "share of the reactive floor": "1",
    }


def test_memory_above_rest_is_taken_in_each_round() -> None:
    figures = [
        {"peak_mb": peak, "rest_mb": rest}
        for peak, rest in ((90.0, 70.0), (80.0, 50.0), (99.0, 74.0))
    ]
    found = results.Results("2026-01-01", FACTS, rounds("burst", *figures))
    (above,) = (it for it in targets.rows(found) if it.what.endswith("above rest"))
    assert above.value == "25 MB"


@pytest.mark.parametrize(("completed", "met"), [(1000.0, True), (999.0, False)])
def test_no_target_is_met_where_an_execution_is_not_completed(completed: float, met: bool) -> None:
    figures = {"finished_per_s": 40.0, "completed": completed}
    found = results.Results("2026-01-01", FACTS, rounds("burst", figures))
    (row,) = targets.rows(found)
    assert (row.value, row.met) == ("40 /s", met)


def test_a_table_says_how_many_rounds_and_which_floor() -> None:
    one = results.Results("2026-01-01", FACTS, rounds("rest", {"cpu_percent": 0.5}))
    assert "- One round.\n" in report.markdown([one])
    assert "floor" not in report.markdown([one])
    own, floors = rounds("burst", *speeds(1, 2)), rounds("burst", *speeds(1, 2), subject="floor6")
    two = results.Results("2026-01-01", FACTS, [*own, *floors])
    assert "- Medians of 2 rounds; ratios are taken in each.\n" in report.markdown([two])
    assert "- The floor here is floor6: six writes for each execution.\n" in report.markdown([two])
