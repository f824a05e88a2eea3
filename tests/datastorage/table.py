"""The table of ADR-034, and the rows in it."""

from __future__ import annotations

import collections
import datetime
import json
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCHEMA = """
CREATE TABLE IF NOT EXISTS audit_events (
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    event_version varchar(10) NOT NULL,
    event_timestamp timestamptz NOT NULL,
    event_date date NOT NULL,
    event_type varchar(100) NOT NULL,
    event_category varchar(50) NOT NULL,
    event_action varchar(50) NOT NULL,
    event_outcome varchar(20) NOT NULL,
    actor_type varchar(50) NOT NULL,
    actor_id varchar(255) NOT NULL,
    actor_ip inet,
    resource_type varchar(100) NOT NULL,
    resource_id varchar(255) NOT NULL,
    resource_name varchar(255),
    correlation_id varchar(255) NOT NULL,
    parent_event_id uuid,
    parent_event_date date,
    trace_id varchar(255),
    span_id varchar(255),
    namespace varchar(253),
    cluster_name varchar(255),
    event_data jsonb NOT NULL,
    event_metadata jsonb,
    severity varchar(20),
    duration_ms integer,
    error_code varchar(50),
    error_message text,
    retention_days integer NOT NULL DEFAULT 2555,
    is_sensitive boolean NOT NULL DEFAULT false,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (event_id, event_date)
) PARTITION BY RANGE (event_date);
CREATE TABLE IF NOT EXISTS audit_events_all PARTITION OF audit_events DEFAULT;
CREATE INDEX IF NOT EXISTS audit_events_correlation
    ON audit_events (correlation_id, event_timestamp DESC);
"""
COLUMNS = (
    "event_version", "event_timestamp", "event_date", "event_type", "event_category",
    "event_action", "event_outcome", "actor_type", "actor_id", "resource_type", "resource_id",
    "resource_name", "correlation_id", "namespace", "event_data", "severity", "duration_ms",
    "error_code", "error_message",
)  # fmt: skip
_FILTERS = ("correlation_id", "event_type", "event_category", "event_outcome", "severity")

Row = dict[str, Any]


class Table:
    """The rows, by way of a pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> Table:
        """Connect, and make the table if it is not there."""
        pool = await asyncpg.create_pool(url, min_size=1, max_size=8)
        async with pool.acquire() as connection:
            await connection.execute(SCHEMA)
        return cls(pool)

    async def close(self) -> None:
        """Let the connections go."""
        await self._pool.close()

    async def clear(self) -> None:
        """Take all rows away."""
        await self._pool.execute("TRUNCATE audit_events")

    async def remove(self, ids: Iterable[str]) -> None:
        """Take these rows away."""
        statement = "DELETE FROM audit_events WHERE event_id = ANY($1::uuid[])"
        await self._pool.execute(statement, [*ids])

    async def insert(self, rows: Sequence[Row]) -> list[str]:
        """Store all rows or none; returns the ids that they got."""
        ids = [uuid.uuid4() for _ in rows]
        columns = ("event_id", *COLUMNS)
        marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        statement = f"INSERT INTO audit_events ({', '.join(columns)}) VALUES ({marks})"
        values = [
            (made, *(_stored(row, column) for column in COLUMNS))
            for made, row in zip(ids, rows, strict=True)
        ]
        # Which is atomic by itself.
        await self._pool.executemany(statement, values)
        return [str(made) for made in ids]

    async def query(
        self, asked: Mapping[str, str], *, limit: int, offset: int
    ) -> tuple[list[Row], int]:
        """A page of rows, the newest first, and how many there are in all."""
        known = [(name, asked[name]) for name in _FILTERS if asked.get(name)]
        where = " AND ".join(f"{name} = ${at}" for at, (name, _) in enumerate(known, 1)) or "true"
        values = [value for _, value in known]
        async with self._pool.acquire() as connection:
            total = await connection.fetchval(
                f"SELECT count(*) FROM audit_events WHERE {where}", *values
            )
            found = await connection.fetch(
                f"SELECT * FROM audit_events WHERE {where} "
                f"ORDER BY event_timestamp DESC, event_id LIMIT {limit} OFFSET {offset}",
                *values,
            )
        return [_shown(row) for row in found], int(total)

    async def all(self) -> list[Row]:
        """Every row, in the order in which they were stored."""
        found = await self._pool.fetch("SELECT * FROM audit_events ORDER BY stored_at")
        return [_shown(row) for row in found]


def transitions(rows: Iterable[Row]) -> collections.Counter[tuple[str, str]]:
    """How often each transition is recorded, by execution and last word of the event type."""
    return collections.Counter(
        (row["event_data"]["execution_name"], row["event_type"].rpartition(".")[2]) for row in rows
    )


def _stored(row: Row, column: str) -> object:
    value = row.get(column)
    return json.dumps(value) if column == "event_data" else value


def _shown(row: Mapping[str, Any]) -> Row:
    """A row as JSON has it; what is not set is left out."""
    shown: Row = {}
    for name, value in row.items():
        if value is None:
            continue
        if name in {"event_data", "event_metadata"}:
            shown[name] = json.loads(value)
        elif isinstance(value, datetime.datetime):
            shown[name] = value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
        else:
            shown[name] = value if isinstance(value, str | int | bool) else str(value)
    return shown
