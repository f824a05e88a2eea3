import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.domain import text

# Kubernetes, "Labels and Selectors": syntax and character set.
VALID_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


TEXTS = st.text() | st.text(alphabet='a"\\\n\t\r\x00\x1b[0m😀', max_size=300)


@given(TEXTS, st.integers(min_value=8, max_value=200))
def test_cut_stays_within_its_budget_and_on_a_character(value: str, budget: int) -> None:
    cut = text.cut(value, budget)
    assert len(cut.encode()) <= len(orjson.dumps(cut)) - 2 == text.size(cut) <= budget
    assert cut == text.plain(value) or cut.endswith(text.CUT_MARK)
    assert text.cut(cut, budget) == cut


def test_cut_leaves_what_fits_as_it_is() -> None:
    assert text.cut("exactly eight b", 15) == "exactly eight b"
    assert text.cut("sixteen bytes ...", 16) == "sixteen " + text.CUT_MARK


def test_cut_never_splits_a_character() -> None:
    assert text.cut("ä" * 20, 15) == "ä" * 3 + text.CUT_MARK


def test_cut_replaces_a_lone_surrogate_when_it_meets_one() -> None:
    assert text.cut("a\ud800b", 15) == "a?b"


def test_cut_counts_what_json_makes_of_a_character() -> None:
    assert text.cut('"' * 8, 16) == '"' * 8
    assert text.cut('"' * 9, 16) == '"' * 4 + text.CUT_MARK


@given(TEXTS, st.integers(min_value=8, max_value=200))
def test_tail_stays_within_its_budget_and_on_a_character(value: str, budget: int) -> None:
    plain = text.plain(value)
    tail, is_cut = text.tail(plain, budget)
    assert text.size(tail) <= budget
    assert plain.endswith(tail)
    assert is_cut == (tail != plain)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        pytest.param("a\tb\nc", "a\tb\nc", id="newline-and-tab-stay"),
        pytest.param("a\r\nb\rc", "a\nb\nc", id="line-ends"),
        pytest.param("\x1b[1;31mbad\x1b[0m\x1b[K", "bad", id="colours"),
        pytest.param("a\x00\x07\x1b]0;t\x7f\x9b", "a???]0;t??", id="controls"),
        pytest.param("a\ud800b", "a?b", id="surrogate"),
        pytest.param("ä€😀\u2028", "ä€😀\u2028", id="every-other-letter"),
    ],
)
def test_plain_has_no_control_character(value: str, plain: str) -> None:
    assert text.plain(value) == plain


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
