"""`workflowexecution audit replay` and `audit verify`: a person sets the audit trail right.

They read the executions from the API, or a log; nothing writes to the API.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from workflowexecution import identity
from workflowexecution.adapters import executions
from workflowexecution.api import names
from workflowexecution.api import workflowexecution as api
from workflowexecution.domain import audit, auditcheck, auditevent
from workflowexecution.runtime import client, connection, errors, pages
from workflowexecution.wiring import trail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from workflowexecution.adapters import auditstore
    from workflowexecution.runtime import resource
    from workflowexecution.settings import Settings

EXIT_OK, EXIT_FOUND, EXIT_USAGE = 0, 1, 2
PAGE = 500
STANDARD_INPUT = Path("-")
LOOK_EVERY_S = 0.2


class CommandError(Exception):
    """The command cannot be carried out; the text says why."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes:
        since: replay what has happened since then.
        log: replay what is on this log alone.
        export: compare with this file.
    """

    since: datetime.datetime | None = None
    log: Path | None = None
    export: Path | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """What a file of JSON lines says.

    A log holds more than its program writes: tracebacks, what the interpreter says as it dies, the
    rest of a line that was cut when the file was changed.

    Attributes:
        path: of the file.
        entries: the objects, with the number of their line.
        torn: numbers of the lines that are not JSON.
    """

    path: Path
    entries: tuple[tuple[int, dict[str, Any]], ...]
    torn: tuple[int, ...] = ()

    def warning(self) -> str:
        """How many lines could not be read; empty when all could."""
        if not self.torn:
            return ""
        count = f"{len(self.torn)} line{'s' if len(self.torn) > 1 else ''}"
        return f"{count} of {self.path} passed over, not JSON, the first is line {self.torn[0]}"


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
    if wish.export is not None:
        lines = read_lines("--export", wish.export)
        rows = list(exported(lines))
        _warn(no_record(lines, rows))
        report = auditcheck.compare(await _all_events(settings, kubeconfig), rows)
        return tell(report, lines.warning())
    if settings.audit_sink != "http":
        message = "replay sends to a Data Storage: set datastorage.url"
        raise CommandError(message)
    if wish.log is not None:
        # Of executions that are gone, so that the API knows nothing of them.
        lines = read_lines("--log", wish.log)
        _warn(lines.warning())
        return await _replay(settings, list(unsent(lines, trail.style_of(settings))))
    since = wish.since or datetime.datetime.min.replace(tzinfo=datetime.UTC)
    events = await _all_events(settings, kubeconfig)
    return await _replay(settings, [it for it in events if _when(it) >= since])


async def _all_events(settings: Settings, kubeconfig: str) -> list[auditevent.Event]:
    """The records that the executions of this instance must have left."""
    way = await connection.connect(kubeconfig=kubeconfig)
    agent = identity.user_agent(identity.identity_of())
    reader = client.Client(connection=way, user_agent=agent, max_connections=2)
    style = trail.style_of(settings)
    try:
        found = await served(reader, settings)
    finally:
        await reader.close()
    return [event for it in found for event in _events_of(it, style)]


async def served(reader: client.Client, settings: Settings) -> list[api.WorkflowExecution]:
    """The executions of this instance, read page by page."""
    instance = settings.controller.instance
    found: list[api.WorkflowExecution] = []
    fetch = functools.partial(
        reader.list_page,
        executions.EXECUTIONS,
        namespace=settings.controller.watch_namespace,
        label_selector=f"{names.LABEL_INSTANCE}={instance}" if instance else "",
        limit=PAGE,
    )

    def take(raw: resource.JsonObject) -> None:
        # No selector takes both those without the label and those where it is empty.
        labels = raw["metadata"].get("labels") or {}
        if labels.get(names.LABEL_INSTANCE, "") == instance:
            found.append(api.parse_readable(raw))

    await pages.read(fetch, take)
    return found


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
    store = trail.build_store(settings, identity.identity_of())
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
    """Return when each record is answered or fails again and again, or the store is not there."""
    while sender.is_working:
        while left and sender.has_room():
            sender.offer(left.pop(), doubtful=True)
        if sender.is_through:
            return
        await asyncio.sleep(LOOK_EVERY_S)


def _told(sender: auditstore.HttpTrail, wanted: int) -> int:
    counts = sender.counts
    print(  # noqa: T201 - a person asked
        f"{wanted} records: {counts.found} were there, {counts.recorded - counts.found} sent, "
        f"{counts.refused} refused, {wanted - counts.recorded - counts.refused} left"
    )
    return EXIT_OK if counts.recorded == wanted else EXIT_FOUND


def tell(report: auditcheck.Report, warning: str = "") -> int:
    """Print what a comparison has found; returns the exit code.

    Args:
        report: of the comparison.
        warning: what the export did not say; a record on such a line counts as missing.
    """
    for name in report.missing:
        print(f"missing {name}")  # noqa: T201 - a person asked
    for name, count in report.doubled:
        print(f"doubled {name}: {count} times")  # noqa: T201 - a person asked
    print(  # noqa: T201 - a person asked
        f"{report.matched} there, {len(report.missing)} missing, {len(report.doubled)} doubled, "
        f"{report.others} of executions that are gone or of others"
    )
    if warning:
        _warn(f"{warning}: a record there counts as missing, and one too many is not seen")
    return EXIT_FOUND if report.missing or report.doubled else EXIT_OK


def read_lines(flag: str, path: Path) -> Lines:
    """Read a file of JSON lines, as far as it is one, or of one document of JSON.

    Raises:
        CommandError: the file cannot be read, or has lines and none that is JSON.
    """
    try:
        content = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    except OSError as error:
        message = f"{flag}: cannot read {path}: {error.strerror}"
        raise CommandError(message) from error
    try:
        # As a tool has saved it that writes a document over several lines.
        return Lines(path, tuple((1, it) for it in _objects(orjson.loads(content))))
    except orjson.JSONDecodeError:
        pass
    entries: list[tuple[int, dict[str, Any]]] = []
    torn: list[int] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = _entry(line)
        except orjson.JSONDecodeError:
            torn.append(number)
            continue
        entries.extend((number, it) for it in _objects(entry))
    if torn and not entries:
        message = f"{flag}: no line of {path} is a JSON object"
        raise CommandError(message)
    return Lines(path, tuple(entries), tuple(torn))


def exported(lines: Lines) -> Iterator[dict[str, Any]]:
    """The records of an export; what is none is passed over.

    They are rows of the store, lines of the log, or the store's own answers to a query.

    Raises:
        CommandError: the store had more rows than its answers hold.
    """
    held = total = 0
    for _, entry in lines.entries:
        page, in_all = _page(entry)
        held += len(page)
        total = max(total, in_all)
        yield from page
        yield from _records([entry])
    if held < total:
        message = f"--export: {lines.path} has {held} of {total} rows: it wants every page"
        raise CommandError(message)


def no_record(lines: Lines, rows: Sequence[Mapping[str, Any]]) -> str:
    """What to say of an export in which no record was found; empty when one was."""
    return "" if rows else f"no record is in {lines.path}"


def unsent(lines: Lines, style: auditevent.Style) -> Iterator[auditevent.Event]:
    """The records that a log has since the store had not, each once, as this style spells them.

    What the store has no word for stays on the log.

    Raises:
        CommandError: a record is not of our making.
    """
    seen: set[str] = set()
    for number, entry in lines.entries:
        document = entry.get("audit")
        why = entry.get("not_stored")
        if not isinstance(document, dict) or not why or why == auditevent.NO_WORD:
            continue
        try:
            event = auditevent.rebuild(document, style)
        except ValueError as error:
            message = f"--log: line {number} of {lines.path} has no record of this program: {error}"
            raise CommandError(message) from error
        if event.taken and event.key not in seen:
            seen.add(event.key)
            yield event


def _entry(line: bytes) -> Any:  # noqa: ANN401 - raw JSON
    """What a line says, without what a tool has put before it: a pod's name, a timestamp.

    Raises:
        orjson.JSONDecodeError: nothing that is JSON.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return orjson.loads(line[max(0, line.find(b"{")) :])


def _objects(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - raw JSON
    """The value, if it is an object; those of a list."""
    return [it for it in (value if isinstance(value, list) else [value]) if isinstance(it, dict)]


def _page(entry: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """The records in an answer of the store, and how many there were in all, as far as it says."""
    data, pagination = entry.get("data"), entry.get("pagination")
    if not isinstance(data, list):
        return [], 0
    total = pagination.get("total") if isinstance(pagination, dict) else None
    return _records(_objects(data)), total if isinstance(total, int) else 0


def _records(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records that rows of the store, or lines of the log, are or hold."""
    return [it for it in _objects([row.get("audit", row) for row in rows]) if "event_type" in it]


def _warn(warning: str) -> None:
    if warning:
        print(f"workflowexecution audit: {warning}", file=sys.stderr)  # noqa: T201 - a person asked


def _when(event: auditevent.Event) -> datetime.datetime:
    return datetime.datetime.fromisoformat(event.document["event_timestamp"])
