import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.api import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("0", 0.0, id="zero"),
        pytest.param("+0", 0.0, id="zero-with-a-sign"),
        pytest.param("90s", 90.0, id="seconds"),
        pytest.param("5m", 300.0, id="minutes"),
        pytest.param("1h30m", 5400.0, id="hours"),
        pytest.param("2m30.5s", 150.5, id="fraction"),
        pytest.param(".5s", 0.5, id="no-leading-digit"),
        pytest.param("1.s", 1.0, id="no-trailing-digit"),
        pytest.param("+5m", 300.0, id="sign"),
        pytest.param("250ms", 0.25, id="milliseconds"),
        pytest.param("1m1ms", 60.001, id="minute-and-millisecond"),
        pytest.param("5\u00b5s", 5e-6, id="micro-sign"),
        pytest.param("5\u03bcs", 5e-6, id="greek-mu"),
        pytest.param("5us", 5e-6, id="us"),
        pytest.param("1000000000ns", 1.0, id="nanoseconds"),
        pytest.param("2562047h47m", 9223372020.0, id="longest"),
    ],
)
def test_parse_reads_what_go_reads(text: str, seconds: float) -> None:
    assert duration.parse(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("5", id="no-unit"),
        pytest.param("-5m", id="negative"),
        pytest.param("5 m", id="space"),
        pytest.param("5m\n", id="newline"),
        pytest.param("1d", id="days"),
        pytest.param("m", id="no-number"),
        pytest.param("1.2.3s", id="two-dots"),
        pytest.param("\u0665m", id="arabic-digit"),
    ],
)
def test_parse_quotes_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 90s") as caught:
        duration.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["2562048h", "9" * 400 + "s"], ids=["too-long", "infinite"])
def test_parse_quotes_what_go_cannot_hold(text: str) -> None:
    with pytest.raises(ValueError, match="longer than any duration can be") as caught:
        duration.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("1m", 60.0, id="text"),
        pytest.param(7, 7.0, id="int"),
        pytest.param(1.5, 1.5, id="float"),
    ],
)
def test_seconds_of_takes_texts_and_numbers(value: object, seconds: float) -> None:
    assert duration.seconds_of(value) == seconds


@pytest.mark.parametrize("value", [True, None, [], {}], ids=repr)
def test_seconds_of_refuses_anything_else(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration.seconds_of(value)


def test_seconds_of_refuses_a_number_that_no_float_holds() -> None:
    with pytest.raises(ValueError, match="longer than any duration can be"):
        duration.seconds_of(10**400)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0, "0s", id="zero"),
        pytest.param(0.25, "250ms", id="below-a-second"),
        pytest.param(0.9996, "1s", id="rounded-to-the-second"),
        pytest.param(150, "2m30s", id="minutes"),
        pytest.param(1800, "30m0s", id="full-minutes"),
        pytest.param(5400, "1h30m0s", id="hours"),
        pytest.param(3600.25, "1h0m0.25s", id="fraction"),
        pytest.param(59.9996, "1m0s", id="rounded-over-the-minute"),
    ],
)
def test_format_seconds_writes_what_go_writes(seconds: float, text: str) -> None:
    assert duration.format_seconds(seconds) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_parse_gives_back_what_was_formatted(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert duration.parse(duration.format_seconds(seconds)) == pytest.approx(seconds, abs=1e-4)
