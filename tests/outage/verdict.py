"""What a run has to show, and what two runs that differ in the outage alone must not differ in.

A figure that is not to be had is as wrong as one that is too high.
"""

from __future__ import annotations

import collections
import itertools
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.outage.course import Course
    from tests.outage.replicas import Sample

MOST_RATIO = 1.5
"""Latencies, p99, with the outage to without it."""
MOST_GROWTH = 1.1
"""Resident memory for each cached execution, the same way."""
MOST_EXTRA = 16_000_000
"""Bytes more at equal numbers of cached executions: what waits until the breaker opens, and the
statuses that are remembered, both bounded."""
LEAST_SIZE = 100
LEAST_DELETED = 0.1
"""Of all executions: what there has to be of a load for it to be one."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Memory:
    """The leader's memory, in bytes, at the greatest number of executions that both runs had.

    Attributes:
        term: how many times somebody was killed before.
    """

    term: int
    executions: int
    with_outage: int
    without: int

    @property
    def extra(self) -> int:
        """How many bytes more with the outage."""
        return self.with_outage - self.without


def wrongs(course: Course) -> list[str]:
    """What is wrong with a run; nothing when all of it happened and each record stands once."""
    return _recorded(course) + _missed(course)


def _recorded(course: Course) -> list[str]:
    """What is wrong with the records."""
    wanted, found = course.witness.transitions, course.rows
    known = wanted.keys() | course.witness.possible.keys()
    told = [f"written {count} times: {which}" for which, count in wanted.items() if count != 1]
    told += [f"missing: {which}" for which in wanted.keys() - found.keys()]
    told += [f"unknown to the witness: {which}" for which in found.keys() - known]
    told += [f"{count} times: {which}" for which, count in found.items() if count > 1]
    lost = records(course).get("lost", 0.0)
    if lost:
        told.append(f"{lost:.0f} records are on the log alone")
    code, said = course.verified
    if code != 0:
        told.append(f"audit verify ended with {code}: {said}")
    return told


def _missed(course: Course) -> list[str]:
    """What a run is about and has not had."""
    told = []
    if course.size <= LEAST_SIZE:
        told.append(f"only {course.size} executions")
    if course.deleted <= LEAST_DELETED * course.size:
        told.append(f"only {course.deleted} of {course.size} executions were deleted")
    for act, planned in course.schedule.killed.items():
        done = course.seen.killed[act]
        if done < planned:
            told.append(f"killed only {done} of {planned} by: {act.value}")
    if course.schedule.faulty:
        counts = records(course)
        # Moved into the outbox, where they outlive their execution; found, as they were in doubt.
        told += [f"no record was {it}" for it in ("moved", "found") if not counts.get(it, 0.0) > 0]
    return told


def records(course: Course) -> Figures:
    """What became of records, by the controllers' own count."""
    total: collections.Counter[str] = collections.Counter()
    for each in course.seen.records.values():
        total.update(each)
    return dict(total)


def latencies(course: Course) -> Figures:
    """The p99 of each kind, in seconds: where nobody had just been killed, and of all."""
    but, seen, size = course.seen.disturbed, course.witness, course.size
    return {
        "created to PipelineRun": quantile(seen.starts(size, but)),
        "run done to terminal": quantile(seen.ends(size, but)),
        "reconcile": _of_buckets(course),
        "created to PipelineRun, kills included": quantile(seen.starts(size)),
        "run done to terminal, kills included": quantile(seen.ends(size)),
    }


def ratios(course: Course, without: Course) -> Figures:
    """Each latency, with the outage to without it."""
    others = latencies(without)
    return {name: value / others[name] for name, value in latencies(course).items()}


def beyond(course: Course, without: Course) -> list[str]:
    """What an outage has made too much worse, by the bounds above; kills are no part of it."""
    slow = [
        f"p99 {name}: {ratio:.2f} times"
        for name, ratio in ratios(course, without).items()
        if not ratio <= MOST_RATIO and "kills" not in name
    ]
    compared = memory(course, without)
    big = [
        f"memory after {it.term} kills: {it.extra} bytes more"
        for it in compared
        if it.extra > MOST_EXTRA
    ]
    grown = growth(compared)
    if not grown <= MOST_GROWTH:
        big.append(f"memory for each execution: {grown:.3f} times")
    return slow + big


def memory(course: Course, without: Course) -> list[Memory]:
    """Compare the leader's memory in each term at the same number of executions."""
    found = []
    for term, samples in _by_term(course.seen.samples):
        others = dict(_by_term(without.seen.samples)).get(term)
        if not others:
            continue
        most = min(max(it.executions for it in samples), max(it.executions for it in others))
        found.append(Memory(term, most, _at(samples, most), _at(others, most)))
    return found


def growth(compared: Sequence[Memory]) -> float:
    """What each cached execution adds, with the outage to without it.

    NaN where that is unknown: of a single number, and where nothing is added without the outage.
    """
    sizes = [it.executions for it in compared]
    if len(set(sizes)) < 2:
        return math.nan
    struck = statistics.linear_regression(sizes, [it.with_outage for it in compared])
    plain = statistics.linear_regression(sizes, [it.without for it in compared])
    return struck.slope / plain.slope if plain.slope > 0 else math.nan


def quantile(values: Sequence[float], share: float = 0.99) -> float:
    """The smallest value that this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.nan


def _of_buckets(course: Course, share: float = 0.99) -> float:
    """The quantile of the program's own histogram, between bounds as Prometheus takes it."""
    total: collections.Counter[float] = collections.Counter()
    for each in course.seen.reconciles.values():
        total.update(each)
    bounds = sorted(total.items())
    wanted = share * bounds[-1][1] if bounds else 0.0
    before, below = 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted:
            inside = (wanted - below) / (count - below) if count > below else 1.0
            return before + (bound - before) * inside if math.isfinite(bound) else before
        before, below = bound, count
    return math.nan


def _by_term(samples: Sequence[Sample]) -> Iterator[tuple[int, list[Sample]]]:
    ordered = sorted(samples, key=lambda it: it.term)
    for term, those in itertools.groupby(ordered, key=lambda it: it.term):
        yield term, list(those)


def _at(samples: Sequence[Sample], executions: int) -> int:
    """The memory of the sample whose number is nearest; of several, the middle one."""
    nearest = min(abs(it.executions - executions) for it in samples)
    found = sorted(it.rss_bytes for it in samples if abs(it.executions - executions) == nearest)
    return found[len(found) // 2]
