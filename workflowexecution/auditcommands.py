"""`workflowexecution audit replay` and `audit verify`: a person sets the audit trail right.

Both read the executions from the API; neither writes to it.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pydantic

from workflowexecution import identity
from workflowexecution.adapters import executions
from workflowexecution.api import names
from workflowexecution.api import workflowexecution as api
from workflowexecution.domain import audit, auditcheck, auditevent
from workflowexecution.runtime import client, connection, errors
from workflowexecution.wiring import trail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from workflowexecution.adapters import auditstore
    from workflowexecution.settings import Settings

EXIT_OK, EXIT_FOUND, EXIT_USAGE = 0, 1, 2
PAGE = 500
LOOK_EVERY_S = 0.2


class CommandError(Exception):
    """The command cannot be carried out; the text says why."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes:
        since: replay what has happened since then.
        export: compare with this file.
    """

    since: datetime.datetime | None = None
    export: Path | None = None


def run(settings: Settings, wish: Wish, *, kubeconfig: Path | None) -> int:
    """Carry out the command; returns the exit code."""
    try:
        return asyncio.run(_run(settings, wish, str(kubeconfig or "")))
    except (CommandError, errors.ClusterError) as error:
        print(f"workflowexecution audit: {error}", file=sys.stderr)  # noqa: T201 - a person asked
        return EXIT_USAGE


def moment(text: str) -> datetime.datetime:
    """A time as a person gives it: RFC 3339, or a date; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    when = datetime.datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=datetime.UTC)


async def _run(settings: Settings, wish: Wish, kubeconfig: str) -> int:
    rows = None if wish.export is None else list(read_export(wish.export))
    if rows is None and settings.audit_sink != "http":
        message = "replay sends to a Data Storage: set datastorage.url"
        raise CommandError(message)
    way = await connection.connect(kubeconfig=kubeconfig)
    agent = identity.user_agent(identity.identity_of())
    reader = client.Client(connection=way, user_agent=agent, max_connections=2)
    style = trail.style_of(settings)
    try:
        executions_found = [it async for it in _executions(reader, settings)]
    finally:
        await reader.close()
    events = [event for it in executions_found for event in _events_of(it, style)]
    if rows is not None:
        return tell(auditcheck.compare(events, rows))
    since = wish.since or datetime.datetime.min.replace(tzinfo=datetime.UTC)
    return await _replay(settings, [it for it in events if _when(it) >= since])


async def _executions(
    reader: client.Client, settings: Settings
) -> AsyncIterator[api.WorkflowExecution]:
    """The executions of this instance, page by page."""
    instance = settings.controller.instance
    token = ""
    while True:
        page = await reader.list_page(
            executions.EXECUTIONS,
            namespace=settings.controller.watch_namespace,
            label_selector=f"{names.LABEL_INSTANCE}={instance}"
            if instance
            else f"!{names.LABEL_INSTANCE}",
            limit=PAGE,
            continue_token=token,
        )
        for raw in page.items:
            yield _parse(raw)
        token = page.continue_token
        if not token:
            return


def _events_of(
    execution: api.WorkflowExecution, style: auditevent.Style
) -> Iterator[auditevent.Event]:
    """The records that an execution must have left, as far as the dialect has words for them."""
    if execution.status.phase is None:
        # Nobody has decided anything on it yet.
        return
    for transition in audit.made(execution.status):
        event = auditevent.build(execution, transition, style)
        if event.taken:
            yield event


async def _replay(settings: Settings, events: list[auditevent.Event]) -> int:
    """Look for each record, and send what is missing; an outage ends it."""
    store = trail.build_store(settings)
    sender = trail.build_sender(settings, store)
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(sender.run())
            await _offer_all(sender, list(reversed(events)))
            task.cancel()
    finally:
        await store.close()
    return _told(sender, len(events))


async def _offer_all(sender: auditstore.HttpTrail, left: list[auditevent.Event]) -> None:
    """Return when each record is answered, or the store is not there."""
    while (left or sender.pending) and sender.is_working:
        while left and sender.has_room():
            sender.offer(left.pop(), doubtful=True)
        await asyncio.sleep(LOOK_EVERY_S)


def _told(sender: auditstore.HttpTrail, wanted: int) -> int:
    counts = sender.counts
    print(  # noqa: T201 - a person asked
        f"{wanted} records: {counts.found} were there, {counts.recorded - counts.found} sent, "
        f"{counts.refused} refused, {wanted - counts.recorded - counts.refused} left"
    )
    return EXIT_OK if counts.recorded == wanted else EXIT_FOUND


def tell(report: auditcheck.Report) -> int:
    """Print what a comparison has found; returns the exit code."""
    for name in report.missing:
        print(f"missing {name}")  # noqa: T201 - a person asked
    for name, count in report.doubled:
        print(f"doubled {name}: {count} times")  # noqa: T201 - a person asked
    print(  # noqa: T201 - a person asked
        f"{report.matched} there, {len(report.missing)} missing, {len(report.doubled)} doubled, "
        f"{report.others} of executions that are gone or of others"
    )
    return EXIT_FOUND if report.missing or report.doubled else EXIT_OK


def read_export(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of JSON lines: rows of the store, or lines of the log.

    Lines of the log that are no records are passed over.

    Raises:
        CommandError: the file cannot be read, or a line of it is not JSON.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        message = f"--export: cannot read {path}: {error.strerror}"
        raise CommandError(message) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            message = f"--export: line {number} of {path} is not JSON"
            raise CommandError(message) from error
        row = entry.get("audit", entry) if isinstance(entry, dict) else None
        if isinstance(row, dict) and "event_type" in row:
            yield row


def _when(event: auditevent.Event) -> datetime.datetime:
    return datetime.datetime.fromisoformat(event.document["event_timestamp"])


def _parse(raw: dict[str, Any]) -> api.WorkflowExecution:
    try:
        return api.parse_execution(raw)
    except pydantic.ValidationError:
        return api.parse_leniently(raw)
