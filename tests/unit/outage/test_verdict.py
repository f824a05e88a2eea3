"""What the verdict on an outage must not pass over."""

from __future__ import annotations

import collections
import dataclasses

import pytest

from tests.outage import verdict
from tests.outage.course import Course
from tests.outage.replicas import Sample, Seen
from tests.outage.schedule import KILLS, Act, Schedule
from tests.outage.witness import Witness
from tests.support import numbered

FIRST, SECOND = numbered.name(0), numbered.name(1)
WRITTEN = {(FIRST, "created"): 1, (FIRST, "failed"): 1}


SCHEDULE = Schedule(1.0)
COUNTED = {"moved": 1.0, "found": 1.0}


def course(
    rows: dict[tuple[str, str], int] | None = None, *, lost: int = 0, verified: int = 0
) -> Course:
    """A run of 200 executions, of one of which there are records, and what it has left."""
    witness = Witness(
        transitions=collections.Counter(WRITTEN),
        possible=collections.Counter({(SECOND, "created"): 1}),
    )
    return Course(
        schedule=SCHEDULE,
        size=200,
        deleted=40,
        witness=witness,
        rows=collections.Counter(WRITTEN if rows is None else rows),
        verified=(verified, "3 missing"),
        outbox=0,
        drained_s=1.0,
        seen=Seen(records={1: {**COUNTED, "lost": lost}}, killed=SCHEDULE.killed),
    )


def seen(what: Seen) -> Course:
    """The same of whose controllers this was seen."""
    return dataclasses.replace(course(), seen=what)


def half(schedule: Schedule) -> collections.Counter[Act]:
    """The kills of a schedule, but one of those who are killed together."""
    return schedule.killed - collections.Counter([Act.KILL_ALL])


def test_each_record_once_is_right() -> None:
    assert verdict.wrongs(course()) == []


def test_a_write_whose_outcome_the_server_did_not_know_may_be_recorded() -> None:
    assert verdict.wrongs(course({**WRITTEN, (SECOND, "created"): 1})) == []


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (course({(FIRST, "created"): 1}), f"missing: ('{FIRST}', 'failed')"),
        (course({**WRITTEN, (FIRST, "created"): 2}), f"2 times: ('{FIRST}', 'created')"),
        (course({**WRITTEN, (FIRST, "started"): 1}), "unknown to the witness"),
        (course(lost=2), "2 records are on the log alone"),
        (course(verified=1), "audit verify ended with 1: 3 missing"),
    ],
    ids=["missing", "doubled", "made up", "on the log", "verify"],
)
def test_what_is_wrong_is_told(wrong: Course, word: str) -> None:
    (told,) = verdict.wrongs(wrong)
    assert word in told


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (dataclasses.replace(course(), size=100, deleted=20), "only 100 executions"),
        (dataclasses.replace(course(), deleted=20), "only 20 of 200 executions were deleted"),
        (seen(Seen(records={1: {"found": 1.0}}, killed=SCHEDULE.killed)), "no record was moved"),
        (seen(Seen(records={1: {"moved": 1.0}}, killed=SCHEDULE.killed)), "no record was found"),
        (seen(Seen(records={1: COUNTED}, killed=half(SCHEDULE))), "killed only 1 of 2 by: kill -9"),
    ],
    ids=["small", "nothing deleted", "nothing moved", "no doubt", "half a kill"],
)
def test_what_a_run_is_about_and_has_not_had_is_told(wrong: Course, word: str) -> None:
    (told,) = verdict.wrongs(wrong)
    assert word in told


def test_a_run_without_faults_needs_no_record_that_was_in_doubt() -> None:
    plain = Schedule(1.0, faulty=False)
    made = dataclasses.replace(seen(Seen(killed=plain.killed)), schedule=plain)
    assert verdict.wrongs(made) == []


def timed(end_s: float, *, rss: int, reconcile_s: float = 0.05) -> Course:
    """A run of 200 executions, each of whose ends takes so long but a few that met a kill."""
    names = [(numbered.name(number), float(number)) for number in range(200)]
    made = course()
    made.witness.done.update({numbered.run_name(int(at)): at for _, at in names})
    made.witness.ended.update({name: at + (30 if at < 10 else end_s) for name, at in names})
    made.witness.created.update(dict(names))
    made.witness.started.update({numbered.run_name(int(at)): at + 0.1 for _, at in names})
    made.seen.disturbed.append((0.0, 9.0))
    made.seen.reconciles[1] = {reconcile_s / 2: 0.0, reconcile_s: 100.0, float("inf"): 100.0}
    for term, sizes in enumerate((range(5), range(5, 9))):
        made.seen.samples.extend(Sample(term, 0.0, count, rss + count) for count in sizes)
    return made


def test_an_outage_that_slows_nothing_down_is_right() -> None:
    assert verdict.beyond(timed(0.12, rss=101), timed(0.1, rss=100)) == []


def test_an_outage_that_slows_down_or_fills_memory_is_told() -> None:
    told = verdict.beyond(timed(0.2, rss=20_000_100, reconcile_s=0.1), timed(0.1, rss=100))
    assert told == [
        "p99 run done to terminal: 2.00 times",
        "p99 reconcile: 2.00 times",
        "memory after 0 kills: 20000000 bytes more",
        "memory after 1 kills: 20000000 bytes more",
    ]


@pytest.mark.parametrize(
    ("each", "told"), [(1.05, []), (1.2, ["memory for each execution: 1.200 times"])]
)
def test_memory_that_grows_faster_with_an_outage_is_told(each: float, told: list[str]) -> None:
    struck, plain = timed(0.1, rss=0), timed(0.1, rss=0)
    for number, made in ((each, struck), (1.0, plain)):
        made.seen.samples.clear()
        for term, size in enumerate((1000, 3000, 6000)):
            made.seen.samples.append(Sample(term, 0.0, size, round(70e6 + 5000 * number * size)))
    assert verdict.beyond(struck, plain) == told


@pytest.mark.parametrize("sizes", [(), (1000,), (1000, 1000)], ids=["none", "one", "the same"])
def test_memory_whose_growth_is_unknown_is_told(sizes: tuple[int, ...]) -> None:
    made = timed(0.1, rss=0)
    made.seen.samples[:] = [Sample(term, 0.0, size, 70) for term, size in enumerate(sizes)]
    assert verdict.beyond(made, made) == ["memory for each execution: nan times"]


def test_memory_that_does_not_grow_without_an_outage_is_told() -> None:
    struck, plain = timed(0.1, rss=0), timed(0.1, rss=0)
    plain.seen.samples[:] = [Sample(term, 0.0, 1000 * term, 70) for term in range(3)]
    assert verdict.beyond(struck, plain) == ["memory for each execution: nan times"]


def test_runs_without_a_term_in_common_are_told() -> None:
    struck, plain = timed(0.1, rss=0), timed(0.1, rss=0)
    plain.seen.samples[:] = [dataclasses.replace(it, term=7) for it in plain.seen.samples]
    assert verdict.beyond(struck, plain) == ["memory for each execution: nan times"]


def test_both_runs_of_a_comparison_are_the_same_but_for_the_store() -> None:
    struck, plain = Schedule(10.0), Schedule(10.0, faulty=False)
    assert [it for it in struck.acts if it[1] in {*KILLS, Act.END_LOAD}] == list(plain.acts)
    assert struck.is_long
    assert struck.before_deletion_s < 600
