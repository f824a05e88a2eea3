import datetime

import pytest
import structlog.testing

from workflowexecution.runtime import clock

HERE = datetime.datetime(2026, 3, 1, 12, 0, 0, 700_000, tzinfo=datetime.UTC)


def header(ahead_s: int) -> str:
    when = HERE + datetime.timedelta(seconds=ahead_s)
    return when.strftime("%a, %d %b %Y %H:%M:%S GMT")


def build() -> clock.ServerClock:
    return clock.ServerClock(now=lambda: HERE)


def test_clock_shows_local_time_when_no_answer_was_seen() -> None:
    assert build().now() == HERE


def test_clock_shows_local_time_when_both_agree() -> None:
    server = build()
    server.observe(header(0), 0.0)
    assert server.now() == HERE


def test_clock_follows_the_server() -> None:
    server = build()
    server.observe(header(30), 0.0)
    assert server.now() == HERE + datetime.timedelta(seconds=30)
    assert server.offset_s == 30


def test_clock_takes_the_median_so_that_one_late_answer_does_not_count() -> None:
    server = build()
    for second, ahead in enumerate([2, 2, -60, 2]):
        server.observe(header(ahead), float(second))
    assert server.offset_s == 2


def test_clock_remembers_twenty_answers() -> None:
    server = build()
    for second in range(20):
        server.observe(header(100), float(second))
    for second in range(20, 31):
        server.observe(header(0), float(second))
    assert server.offset_s == 0


def test_clock_takes_one_answer_a_second() -> None:
    server = build()
    server.observe(header(9), 10.0)
    server.observe(header(1), 10.9)
    assert server.offset_s == 9
    server.observe(header(1), 11.0)
    assert server.offset_s == 1


@pytest.mark.parametrize(
    "date",
    [
        pytest.param("yesterday", id="nonsense"),
        pytest.param("Sun, 01 Mar 2026 12:00:00 -0000", id="no-zone"),
    ],
)
def test_clock_ignores_a_header_that_is_no_time(date: str) -> None:
    server = build()
    server.observe(date, 0.0)
    server.observe(header(3), 0.0)
    assert server.offset_s == 3


def test_clock_logs_once_when_the_skew_begins_and_ends() -> None:
    server = build()
    with structlog.testing.capture_logs() as logs:
        for second, ahead in enumerate([6, 8, 8, 0, 0, 0]):
            server.observe(header(ahead), float(second))
    assert [(entry["log_level"], entry["server_ahead_s"]) for entry in logs] == [
        ("warning", 6),
        ("info", 0),
    ]


def test_utc_now_is_aware() -> None:
    assert clock.utc_now().tzinfo is datetime.UTC


class TestSteadyTime:
    def test_time_passes_as_on_the_clock_that_is_never_set(self) -> None:
        seconds = iter([100.0, 100.0, 107.5])
        shown = clock.SteadyTime(wall=lambda: HERE, steady=lambda: next(seconds))
        assert shown() == HERE
        assert shown() == HERE + datetime.timedelta(seconds=7.5)

    @pytest.mark.parametrize("jump_s", [7200, -7200], ids=["ahead", "back"])
    def test_time_does_not_move_when_somebody_sets_the_wall_clock(self, jump_s: int) -> None:
        wall = [HERE]
        shown = clock.SteadyTime(wall=lambda: wall[0], steady=lambda: 0.0)
        wall[0] += datetime.timedelta(seconds=jump_s)
        assert shown() == HERE

    def test_time_is_that_of_this_machine_at_first(self) -> None:
        apart = clock.utc_now() - clock.SteadyTime()()
        assert abs(apart.total_seconds()) < 1
