import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.domain import text

# Kubernetes, "Labels and Selectors": syntax and character set.
VALID_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


@given(st.text(), st.integers(min_value=8, max_value=200))
def test_cut_stays_within_its_budget_and_on_a_character(value: str, budget: int) -> None:
    cut = text.cut(value, budget)
    assert len(cut.encode()) <= budget
    assert cut == value or cut.endswith(text.CUT_MARK)


def test_cut_leaves_what_fits_as_it_is() -> None:
    assert text.cut("exactly eight b", 15) == "exactly eight b"
    assert text.cut("sixteen bytes ...", 16) == "sixteen " + text.CUT_MARK


def test_cut_never_splits_a_character() -> None:
    assert text.cut("ä" * 20, 15) == "ä" * 3 + text.CUT_MARK


def test_cut_replaces_a_lone_surrogate_when_it_meets_one() -> None:
    assert text.cut("a\ud800b", 15) == "a?b"


@given(st.text(max_size=300))
def test_label_value_is_always_valid(value: str) -> None:
    label = text.label_value(value)
    assert len(label) <= 63
    assert VALID_LABEL.fullmatch(label)


@given(st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", fullmatch=True))
def test_label_value_keeps_a_valid_text(value: str) -> None:
    assert text.label_value(value) == value


@pytest.mark.parametrize(
    ("value", "label"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("a" * 63, "a" * 63, id="longest"),
        pytest.param("a" * 64, "a" * 52 + "-ffe054fe7a", id="one-too-long"),
        pytest.param("ends-in-", "ends-in-bd26972488", id="dash-at-the-end"),
        pytest.param("übung", "bung-e2001a74b9", id="unicode"),
        pytest.param("///", "732c4e9711", id="nothing-readable"),
    ],
)
def test_label_value_meets_its_published_vectors(value: str, label: str) -> None:
    assert text.label_value(value) == label


def test_label_value_differs_when_only_the_cut_part_differs() -> None:
    assert text.label_value("x" * 70 + "a") != text.label_value("x" * 70 + "b")
