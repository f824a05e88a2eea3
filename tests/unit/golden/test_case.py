"""Definitions of cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.golden import case, reading

if TYPE_CHECKING:
    from pathlib import Path


def test_cases_that_need_the_cluster_alone_come_last_and_slow_ones_first() -> None:
    known = list(case.load().values())
    assert [it.alone for it in known] == sorted(it.alone for it in known)
    together = [it.seconds for it in known if not it.alone]
    assert together == sorted(together, reverse=True)


def test_there_are_at_least_thirty_cases_each_with_a_sentence() -> None:
    known = case.load().values()
    assert len(known) >= 30
    assert [it.name for it in known if not it.about.endswith(".")] == []


def test_a_case_of_one_version_is_no_case_of_the_other() -> None:
    lts, newest = (set(case.load(version)) for version in reading.VERSIONS)
    assert lts - newest == {"node-removed"}
    assert newest - lts == {"node-removed-for-good"}
    assert lts | newest == set(case.load())


def test_parameters_are_filled_up() -> None:
    made = case.Case(
        name="x", about="y", spec={}, execution={"parameters": {"A": "1"}}, fill={"B": 3}
    )
    assert made.parameters == {"A": "1", "B": "xxx"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param({"a": "x: {about: y}", "b": "x: {about: y}"}, "x is there twice", id="twice"),
        pytest.param({"a": "x: {spec: {}}"}, "x: about is missing", id="about"),
        pytest.param({"a": "x: {about: y, specs: {}}"}, "unknown: .'specs'", id="member"),
        pytest.param(
            {"a": "x: {about: y, acts: [{when: z}]}"}, "x: an act does not know .'when'", id="act"
        ),
    ],
)
def test_a_wrong_definition_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(case, "FOLDER", tmp_path)
    with pytest.raises(case.CaseError, match=message):
        case.load()
