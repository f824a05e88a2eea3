import itertools

import hypothesis
import hypothesis.strategies as st

from workflowexecution.runtime import lines

CAP = 8

streams = st.lists(
    st.sampled_from([b"\n", b"a", b"bc", b"12345678", b"123456789"]), max_size=30
).map(b"".join)


def split_all(chunks: list[bytes]) -> tuple[list[bytes], int]:
    splitter = lines.LineSplitter(CAP)
    return [line for chunk in chunks for line in splitter.feed(chunk)], splitter.skipped


@hypothesis.given(stream=streams, sizes=st.lists(st.integers(1, 12), min_size=1))
def test_splitter_gives_the_same_lines_however_the_stream_is_cut(
    stream: bytes, sizes: list[int]
) -> None:
    edges = [0, *itertools.accumulate(itertools.islice(itertools.cycle(sizes), len(stream)))]
    chunks = [stream[start:end] for start, end in itertools.pairwise(edges)]
    complete = stream.split(b"\n")[:-1]
    expected = [line for line in complete if 0 < len(line) <= CAP]
    skipped = sum(len(line) > CAP for line in complete)
    assert split_all(chunks) == (expected, skipped)
    assert split_all([stream]) == (expected, skipped)


def test_splitter_measures_each_line_alone() -> None:
    assert split_all([b"1234", b"5\n"] * 3) == ([b"12345"] * 3, 0)


def test_splitter_drops_an_incomplete_last_line() -> None:
    assert split_all([b"a\nb"]) == ([b"a"], 0)


def test_splitter_goes_on_after_a_line_that_is_too_long() -> None:
    assert split_all([b"1234", b"56789", b"0\nab\n"]) == ([b"ab"], 1)


def test_splitter_keeps_nothing_of_a_line_that_is_too_long() -> None:
    splitter = lines.LineSplitter(CAP)
    splitter.feed(b"12345")
    splitter.feed(b"6789")
    assert splitter._parts == []
