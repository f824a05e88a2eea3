"""Compares what executions must have left with what a store has: gaps and doubles."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflowexecution.domain import auditevent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workflowexecution.domain.auditevent import Event


@dataclass(frozen=True, slots=True)
class Report:
    """What a comparison has found; records are named by execution and event type.

    Attributes:
        missing: expected, and not there.
        doubled: there more than once, with how often.
        matched: how many that were expected are there.
        others: how many rows nothing in the cluster expects: of executions that are gone, mostly.
    """

    missing: tuple[str, ...]
    doubled: tuple[tuple[str, int], ...]
    matched: int
    others: int


def compare(expected: Iterable[Event], rows: Iterable[Mapping[str, Any]]) -> Report:
    """Compare records with rows, which tell their record by `event_key` or by their natural key."""
    by_key: collections.Counter[str] = collections.Counter()
    by_nature: collections.Counter[auditevent.Nature] = collections.Counter()
    names: dict[object, str] = {}
    for row in rows:
        key = auditevent.key_of(row)
        identity: object = key or auditevent.nature_of(row)
        names.setdefault(identity, _name(row))
        if key:
            by_key[key] += 1
        else:
            by_nature[auditevent.nature_of(row)] += 1
    missing = []
    expected_count = matched_rows = 0
    for event in expected:
        found = by_key[event.key] + _natural(by_nature, event)
        matched_rows += found
        if found:
            expected_count += 1
        else:
            missing.append(_name(event.document))
    counted = [*by_key.items(), *by_nature.items()]
    doubled = sorted((names[identity], count) for identity, count in counted if count > 1)
    others = sum(count for _, count in counted) - matched_rows
    return Report(tuple(missing), tuple(doubled), expected_count, others)


def _natural(by_nature: collections.Counter[auditevent.Nature], event: Event) -> int:
    """Rows without our key, of a server that keeps the namespace or of one that does not."""
    return sum(by_nature[it] for it in auditevent.natures_of(event))


def _name(row: Mapping[str, Any]) -> str:
    data = row.get("event_data")
    execution = data.get("execution_name") if isinstance(data, dict) else None
    place = f"{row.get('namespace') or '?'}/{execution or row.get('resource_id')}"
    return f"{place} {row.get('event_type')} {row.get('event_timestamp')}"
