import pytest
from aioprometheus import histogram
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.adapters.prometheus import book, series


@pytest.fixture
def made() -> book.Book:
    return book.Book()


def lines(of: book.Book) -> list[str]:
    return of.render().decode().splitlines()


def test_counter_without_labels_begins_at_nothing(made: book.Book) -> None:
    count = made.counter("x_total", "What it counts").series()
    assert lines(made) == ["# HELP x_total What it counts", "# TYPE x_total counter", "x_total 0.0"]
    count.add()
    count.add(2)
    assert lines(made)[-1] == "x_total 3.0"


def test_series_is_the_same_for_the_same_labels(made: book.Book) -> None:
    family = made.counter("x_total", "h", "code", "method")
    family.series("200", "GET").add()
    family.series("200", "GET").add()
    family.series("404", "GET").add()
    assert lines(made)[2:] == [
        'x_total{code="200",method="GET"} 2.0',
        'x_total{code="404",method="GET"} 1.0',
    ]


SAME_TEXT = [
    pytest.param("a\u200b", "a\u200c", id="unprintable"),
    pytest.param("w" * 253 + "1", "w" * 253 + "2", id="cut"),
]


@pytest.mark.parametrize(("one", "other"), SAME_TEXT)
def test_counts_whose_label_reads_the_same_add_up(made: book.Book, one: str, other: str) -> None:
    family = made.counter("x_total", "h", "workflow_id")
    family.series(one).add(5)
    family.series(other).add(2)
    family.series(one).add()
    assert [line.rpartition(" ")[2] for line in lines(made)[2:]] == ["8.0"]


@pytest.mark.parametrize(("one", "other"), SAME_TEXT)
def test_histograms_whose_label_reads_the_same_add_up(
    made: book.Book, one: str, other: str
) -> None:
    family = made.histogram("x_seconds", "h", "workflow_id", buckets=(1.0,))
    family.series(one).observe(0.5)
    family.series(other).observe(3)
    assert [line.rpartition(" ")[2] for line in lines(made)[2:]] == ["1.0", "2.0", "2.0", "3.5"]


def test_histogram_counts_into_its_buckets(made: book.Book) -> None:
    seen = made.histogram("x_seconds", "h", "name", buckets=(1.0, 5.0)).series("n")
    for value in (0.5, 3, 7):
        seen.observe(value)
    assert lines(made)[2:] == [
        'x_seconds_bucket{le="1.0",name="n"} 1.0',
        'x_seconds_bucket{le="5.0",name="n"} 2.0',
        'x_seconds_bucket{le="+Inf",name="n"} 3.0',
        'x_seconds_count{name="n"} 3.0',
        'x_seconds_sum{name="n"} 10.5',
    ]


@given(st.lists(st.floats(-1, 9) | st.sampled_from([0.0, 0.5, 2.0, 8.0])))
def test_bins_are_told_as_the_library_counts(numbers: list[float]) -> None:
    bounds = (0.0, 0.5, 2.0, 8.0)
    bins, librarys = series.Bins(bounds), histogram.Histogram(*bounds)
    for number in numbers:
        bins.observe(number)
        librarys.observe(number)
    told = bins.told()
    assert (told.buckets, told.sum, told.observations) == (
        librarys.buckets,
        librarys.sum,
        librarys.observations,
    )


def test_histogram_without_labels_is_there_before_anything_is_seen(made: book.Book) -> None:
    made.histogram("x_seconds", "h", buckets=(1.0,))
    assert "x_seconds_count 0.0" in lines(made)


def test_gauge_is_read_when_the_metrics_are(made: book.Book) -> None:
    numbers = iter([3, 4])
    made.gauge("x", "h", lambda: next(numbers))
    assert lines(made)[-1] == "x 3.0"
    assert lines(made)[-1] == "x 4.0"


def test_several_gauges_come_of_one_look(made: book.Book) -> None:
    looks: list[int] = []
    made.on_render(lambda: looks.append(1))
    made.gauges("x", "h", "phase", read=lambda: [(("a",), len(looks)), (("b",), len(looks))])
    assert lines(made)[2:] == ['x{phase="a"} 1.0', 'x{phase="b"} 1.0']


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("restart-1", "restart-1", id="plain"),
        pytest.param('a"} 1\nevil 2', r"a\"} 1\nevil 2", id="forged-line"),
        pytest.param("a\\", r"a\\", id="backslash"),
        pytest.param("a\x00\r\x1bb", "a___b", id="control-characters"),
        pytest.param("näme", "näme", id="unicode"),
    ],
)
def test_label_value_cannot_leave_its_quotes(value: str, text: str) -> None:
    assert series.label_text(value) == text


def test_label_value_is_bounded() -> None:
    assert len(series.label_text("x" * 5000).encode()) <= series.MAX_LABEL_BYTES


def test_a_name_can_be_taken_once(made: book.Book) -> None:
    made.counter("x_total", "h")
    with pytest.raises(ValueError, match="already registered"):
        made.counter("x_total", "h")
