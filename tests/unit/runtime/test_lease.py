import datetime

import pytest

from tests.unit.clocks import Clock
from workflowexecution.runtime import clock, errors, lease

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
TEXT = "2026-03-01T12:00:00.000000Z"


def test_boottime_goes_on() -> None:
    assert 0 < clock.boottime() <= clock.boottime()


@pytest.mark.parametrize(
    ("hours", "microsecond", "text"),
    [
        pytest.param(0, 0, TEXT, id="whole-second"),
        pytest.param(0, 120, "2026-03-01T12:00:00.000120Z", id="six-digits"),
        pytest.param(9, 0, "2026-03-01T03:00:00.000000Z", id="another-zone"),
    ],
)
def test_stamp_is_utc_with_six_digits(hours: int, microsecond: int, text: str) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=hours))
    assert lease.stamp(NOW.replace(tzinfo=zone, microsecond=microsecond)) == text


def test_record_survives_writing_and_reading() -> None:
    record = lease.Record("a", 15, TEXT, TEXT, 3)
    assert lease.read(record.spec()) == record


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {},
        {"holderIdentity": 7, "leaseDurationSeconds": "15", "leaseTransitions": True},
        {"holderIdentity": None, "leaseDurationSeconds": -1, "renewTime": 12.5},
    ],
    ids=str,
)
def test_odd_spec_reads_as_empty(spec: object) -> None:
    assert lease.read(spec) == lease.Record()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((10, 10, 2), "duration_s must be longer"),
        ((15, 2.4, 2), "renew_deadline_s must be longer than 1.2 x"),
    ],
)
def test_timing_that_cannot_work_is_refused(
    numbers: tuple[float, float, float], message: str
) -> None:
    duration_s, renew_deadline_s, retry_period_s = numbers
    with pytest.raises(ValueError, match=message):
        lease.Timing(
            duration_s=duration_s,
            renew_deadline_s=renew_deadline_s,
            retry_period_s=retry_period_s,
        )


@pytest.mark.parametrize(
    ("numbers", "call_s", "ends_s", "spare_s"),
    [
        pytest.param((15, 10, 2), 7.6 / 3, 12.5, 1.25, id="defaults"),
        pytest.param((6, 4, 1), 1.0, 5.0, 0.5, id="short"),
        pytest.param((60, 40, 5), 34 / 3, 50.0, 5.0, id="long"),
    ],
)
def test_timing_leaves_room_for_three_tries_and_for_the_end(
    numbers: tuple[float, float, float], call_s: float, ends_s: float, spare_s: float
) -> None:
    duration_s, renew_deadline_s, retry_period_s = numbers
    timing = lease.Timing(
        duration_s=duration_s, renew_deadline_s=renew_deadline_s, retry_period_s=retry_period_s
    )
    assert timing.call_deadline_s == pytest.approx(call_s)
    assert (timing.ends_after_s, timing.spare_s) == (ends_s, spare_s)
    assert timing.ends_after_s + timing.spare_s < timing.duration_s


def obj(record: lease.Record, version: str = "1", uid: str = "u") -> dict[str, object]:
    return {"metadata": {"resourceVersion": version, "uid": uid}, "spec": record.spec()}


def view(clock: Clock, duration_s: float = 15) -> lease.View:
    return lease.View(identity="me", duration_s=duration_s, now=clock)


OTHER = lease.Record("other", 20, TEXT, TEXT, 3)


def test_view_waits_from_when_the_record_changed() -> None:
    clock = Clock(100.0)
    seen = view(clock)
    assert seen.wait_s <= 0
    seen.saw(obj(OTHER))
    clock.at = 108
    seen.saw(obj(OTHER, "2"))
    assert (seen.wait_s, seen.version) == (12, "2")
    seen.saw(obj(OTHER, uid="another-lease"))
    assert seen.wait_s == 20


def test_view_waits_for_a_lease_that_is_emptied_while_it_is_held() -> None:
    clock = Clock(100.0)
    seen = view(clock)
    empty = lease.Record()
    seen.saw(obj(empty))
    assert seen.wait_s == 0
    seen.saw(obj(OTHER, "2"))
    clock.at = 110
    seen.saw(obj(empty, "3"))
    assert seen.wait_s == 15
    seen.saw(obj(seen.released_record(NOW), "4"))
    assert seen.wait_s == 0
    seen.saw(obj(empty, "5"))
    assert seen.wait_s == 0


@pytest.mark.parametrize(
    ("record", "wait_s"),
    [
        pytest.param(lease.Record(), 0, id="wholly"),
        pytest.param(
            lease.Record(duration_s=1, renew_time=TEXT, transitions=3), 0, id="given-back"
        ),
        pytest.param(lease.Record(acquire_time=TEXT), 15, id="but-for-its-acquisition"),
        pytest.param(lease.Record(renew_time=TEXT), 15, id="but-for-its-renewal"),
        pytest.param(lease.Record(transitions=3), 15, id="but-for-its-transitions"),
    ],
)
def test_view_that_begins_with_an_emptied_lease_waits_for_one_that_shows_a_holder(
    record: lease.Record, wait_s: float
) -> None:
    seen = view(Clock(100.0))
    seen.saw(obj(record))
    assert seen.wait_s == wait_s


@pytest.mark.parametrize(
    "answer",
    [{}, {"metadata": None}, {"metadata": {}}, {"metadata": []}],
    ids=str,
)
def test_view_refuses_what_is_no_lease(answer: dict[str, object]) -> None:
    with pytest.raises(errors.TransportError, match="not a Lease"):
        view(Clock(100.0)).saw(answer)


def test_view_tells_its_own_record_by_time_of_acquisition() -> None:
    seen = view(Clock(100.0))
    mine = seen.next_record(NOW)
    assert (mine, seen.is_mine) == (lease.Record("me", 15, TEXT, TEXT, 0), False)
    seen.saw(obj(mine))
    assert (seen.is_mine, seen.wait_s) == (True, 0)
    later = NOW + datetime.timedelta(seconds=1)
    again = seen.next_record(later)
    assert (again.acquire_time, again.renew_time) == (TEXT, lease.stamp(later))
    seen.saw(obj(lease.Record("me", 15, lease.stamp(later), TEXT, 0)))
    assert not seen.is_mine


def test_view_counts_transitions_over_a_lease_it_takes() -> None:
    seen = view(Clock(100.0), duration_s=6.1)
    seen.saw(obj(OTHER))
    assert seen.next_record(NOW) == lease.Record("me", 7, TEXT, TEXT, 4)
    assert seen.released_record(NOW) == lease.Record("", 1, TEXT, TEXT, 3)
