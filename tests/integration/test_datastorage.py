"""The stand-in for the Data Storage is as hard to please as the real one: nobody is let off."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests import builders
from workflowexecution.domain import auditevent
from workflowexecution.domain.audit import Transition

if TYPE_CHECKING:
    from tests.datastorage.server import DataStorage

BATCH, EVENTS = "/api/v1/audit/events/batch", "/api/v1/audit/events"
ENDED = {
    "phase": "Completed",
    "startTime": builders.stamp(1),
    "completionTime": builders.stamp(30),
}


def event(name: str = "one", *, dialect: auditevent.Dialect = "december") -> dict[str, Any]:
    """The record of an execution that has completed just now."""
    style = auditevent.Style(dialect=dialect)
    made = auditevent.build(
        builders.execution(name, status=ENDED), Transition.COMPLETED, style
    ).document
    now = datetime.datetime.now(datetime.UTC)
    return {**made, "event_timestamp": now.isoformat(timespec="milliseconds")}


async def post(storage: DataStorage, body: object, path: str = BATCH) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{storage.url}{path}", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def get(storage: DataStorage, **query: str) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{storage.url}{EVENTS}", params=query) as answer,
    ):
        return answer.status, await answer.json()


async def test_what_is_sent_twice_is_there_twice_under_ids_of_its_own(storage: DataStorage) -> None:
    for _ in range(2):
        status, answer = await post(storage, [event()])
        assert (status, len(answer["event_ids"])) == (201, 1)
    ids = [row["event_id"] for row in await storage.table.all()]
    assert len(set(ids)) == 2


async def test_a_batch_is_stored_whole_or_not_at_all(storage: DataStorage) -> None:
    bad = {**event("bad"), "event_type": "x" * 101}
    assert (await post(storage, [event(), bad]))[0] == 500
    missing = {key: value for key, value in event("bad").items() if key != "correlation_id"}
    status, answer = await post(storage, [event(), missing])
    assert status == 400
    assert answer["detail"] == "event at index 1: correlation_id: missing"
    assert await storage.table.all() == []


@pytest.mark.parametrize("body", [[], {}, None, "text"], ids=str)
async def test_a_batch_is_an_array_with_something_in_it(storage: DataStorage, body: object) -> None:
    assert (await post(storage, body))[0] == 400


@pytest.mark.parametrize(
    ("newer", "older"),
    [("event_category", "service"), ("event_action", "operation"), ("event_outcome", "outcome")],
)
async def test_december_takes_either_name_and_prefers_the_newer(
    storage: DataStorage, newer: str, older: str
) -> None:
    sent = event()
    assert (await post(storage, [{**sent, older: "other"}]))[0] == 201
    assert (await post(storage, [{**sent, newer: None, older: "other"}]))[0] == 201
    assert (await post(storage, [{**sent, newer: None, older: None}]))[0] == 400
    assert [row[newer] for row in await storage.table.all()] == [sent[newer], "other"]


async def test_december_minds_the_outcome_of_a_single_event_alone(storage: DataStorage) -> None:
    odd = {**event(), "event_outcome": "skipped"}
    assert (await post(storage, [odd]))[0] == 201
    assert (await post(storage, odd, EVENTS))[0] == 400


class TestCurrent:
    @pytest.fixture(autouse=True)
    def _current(self, storage: DataStorage) -> None:
        storage.dialect = "current"

    async def test_unknown_keys_of_the_payload_are_dropped(self, storage: DataStorage) -> None:
        assert (await post(storage, [event(dialect="current")]))[0] == 201
        (row,) = await storage.table.all()
        assert row["event_data"]["execution_name"] == "one"
        assert not row["event_data"].keys() & {"event_key", "remediation_id", "confidence"}

    @pytest.mark.parametrize(
        "change",
        [
            {"event_type": "workflowexecution.workflow.created"},
            {"event_category": "workflow-execution"},
            {"event_outcome": "skipped"},
            {"correlation_id": "x" * 256},
            {"event_timestamp": "2020-01-01T00:00:00Z"},
            {"event_timestamp": "2999-01-01T00:00:00Z"},
        ],
        ids=str,
    )
    async def test_what_its_schema_lacks_is_refused(
        self, storage: DataStorage, change: dict[str, str]
    ) -> None:
        assert (await post(storage, [{**event(dialect="current"), **change}]))[0] == 400
        assert await storage.table.all() == []

    async def test_a_batch_has_500_events_at_most(self, storage: DataStorage) -> None:
        assert (await post(storage, [event(dialect="current")] * 501))[0] == 400


async def test_a_query_gives_pages_of_what_is_asked_for(storage: DataStorage) -> None:
    sent = event()
    await post(storage, [sent, sent, sent, {**sent, "correlation_id": "another"}])
    asked = {"correlation_id": sent["correlation_id"], "event_type": sent["event_type"]}
    pages = [(await get(storage, **asked, limit="2", offset=at))[1] for at in ("0", "2")]
    assert [len(it["data"]) for it in pages] == [2, 1]
    assert [it["pagination"]["has_more"] for it in pages] == [True, False]
    assert {it["pagination"]["total"] for it in pages} == {3}
    assert (await get(storage, limit="0"))[0] == 400


async def test_a_token_is_asked_for_where_one_is_set(storage: DataStorage) -> None:
    storage.faults.tokens = {"right"}
    assert (await post(storage, [event()]))[0] == 401
    assert (await get(storage))[0] == 401


async def test_a_query_tells_of_what_was_due_when_it_came(
    storage: DataStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, begun, go_on = storage.table.insert, asyncio.Event(), asyncio.Event()

    async def slowly(rows: list[dict[str, Any]]) -> list[str]:
        begun.set()
        await go_on.wait()
        return await insert(rows)

    monkeypatch.setattr(storage.table, "insert", slowly)
    async with asyncio.TaskGroup() as group:
        group.create_task(post(storage, [event()]))
        await begun.wait()
        asking = group.create_task(get(storage))
        # Time enough for an answer that does not wait.
        await asyncio.wait([asking], timeout=0.5)
        go_on.set()
        assert len((await asking)[1]["data"]) == 1


async def test_a_query_does_not_wait_for_what_is_due_later(storage: DataStorage) -> None:
    storage.faults.before_s = 600.0
    sending = asyncio.create_task(post(storage, [event()]))
    while not storage.seen.batches:  # noqa: ASYNC110 - the handler tells nobody
        await asyncio.sleep(0.01)
    assert (await get(storage))[1]["data"] == []
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
