"""Requests to the Data Storage, against a server on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web

from tests.unit.adapters import audits
from tests.unit.runtime import authority, servers
from workflowexecution.adapters import auditclient
from workflowexecution.adapters.auditclient import (
    Failing,
    NotAskable,
    Outcome,
    Rejected,
    Silent,
    Unavailable,
)
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EVENT = audits.event("one")
PATIENT_S = 60.0
"""The limit of a request where a machine that stalls could exceed one in earnest."""


class Server:
    """Answers as told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = web.json_response({"event_ids": []}, status=201)
        self.pages: list[list[Any]] = []
        self.token = ""
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.takes_s = 0.0
        self.segments: list[bytes] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, dict(request.query), body))
        await asyncio.sleep(self.takes_s)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"title": "Unauthorized"}, status=401)
        if self.pages:
            return web.json_response({"data": self.pages.pop(0)})
        return await self._in_segments(request) if self.segments else self.answer

    async def _in_segments(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for segment in self.segments:
            await answer.write(segment)
            # Virtual: until the client has nothing left to do but to wait.
            await asyncio.sleep(1)
        return answer


@contextlib.asynccontextmanager
async def client(
    server: Server,
    *,
    issuer: authority.Authority | None = None,
    timeout_s: float = PATIENT_S,
    **options: Any,  # noqa: ANN401
) -> AsyncIterator[auditclient.AuditClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.0)
    await runner.setup()
    secure = _identity(issuer) if issuer is not None else None
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secure).start()
    url = f"{'https' if secure else 'http'}://127.0.0.1:{runner.addresses[0][1]}/"
    made = auditclient.AuditClient(url=url, timeout_s=timeout_s, user_agent="test", **options)
    try:
        yield made
    finally:
        await made.close()
        await runner.cleanup()


def _identity(issuer: authority.Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issuer.issue("server"))
    return context


def problem(status: int, **headers: str) -> web.Response:
    return web.json_response({"detail": "why"}, status=status, headers=headers)


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_a_batch_is_acknowledged(status: int) -> None:
    server = Server()
    server.answer = web.json_response({}, status=status)
    async with client(server) as it:
        await it.send([EVENT.document])
    assert server.requests == [("POST", {}, [EVENT.document])]


@pytest.mark.parametrize("status", [400, 409, 413, 422, 451])
async def test_a_batch_is_rejected_for_what_is_in_it(status: int) -> None:
    server = Server()
    server.answer = problem(status)
    async with client(server) as it:
        with pytest.raises(Rejected, match=f"{status} why"):
            await it.send([EVENT.document])


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (302, Outcome.NOTHING),
        (404, Outcome.NOTHING),
        (405, Outcome.NOTHING),
        (410, Outcome.NOTHING),
        (415, Outcome.NOTHING),
        (403, Outcome.NOTHING),
        (408, Outcome.UNKNOWN),
        (429, Outcome.NOTHING),
        (500, Outcome.UNKNOWN),
        (502, Outcome.UNDECIDED),
        (503, Outcome.UNKNOWN),
        (504, Outcome.UNDECIDED),
    ],
)
async def test_a_failure_says_what_may_have_happened(status: int, outcome: Outcome) -> None:
    server = Server()
    server.answer = problem(status)
    async with client(server) as it:
        with pytest.raises(Unavailable, match=f"{status} why") as caught:
            await it.send([EVENT.document])
    assert caught.value.outcome is outcome
    assert isinstance(caught.value, Failing) is (status in {403, 500})


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("soon", 0.0), ("-1", 0.0)])
async def test_a_throttled_batch_says_how_long(said: str, seconds: float) -> None:
    server = Server()
    server.answer = problem(429, **{"Retry-After": said})
    async with client(server) as it:
        with pytest.raises(Unavailable) as caught:
            await it.send([EVENT.document])
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize(
    "url",
    [pytest.param("http://127.0.0.1:1", id="away"), pytest.param("http://a..b", id="no-host")],
)
async def test_a_server_that_is_not_there_has_done_nothing(url: str) -> None:
    it = auditclient.AuditClient(url=url, timeout_s=PATIENT_S, user_agent="test")
    with pytest.raises(Unavailable) as caught:
        await it.send([EVENT.document])
    await it.close()
    assert caught.value.outcome is Outcome.NOTHING


async def test_an_address_that_is_none_is_told_as_such() -> None:
    it = auditclient.AuditClient(url="http://x:abc", timeout_s=PATIENT_S, user_agent="test")
    with pytest.raises(Unavailable, match="InvalidU"):
        await it.send([EVENT.document])
    await it.close()


@pytest.mark.looptime
async def test_a_request_without_an_answer_is_undecided() -> None:
    server = Server()
    server.takes_s = 3600.0
    async with client(server) as it:
        with pytest.raises(Unavailable) as caught:
            await it.send([EVENT.document])
    assert caught.value.outcome is Outcome.UNDECIDED


async def test_an_answer_that_is_no_problem_document_is_quoted() -> None:
    server = Server()
    server.answer = web.Response(status=500, text="<html>oops")
    async with client(server) as it:
        with pytest.raises(Unavailable, match="500 <html>oops"):
            await it.send([EVENT.document])


async def test_a_rejected_token_is_read_again(tmp_path: Path) -> None:
    file, server = tmp_path / "token", Server()
    file.write_text("old")
    server.token = "new"
    async with client(server, token_file=str(file)) as it:
        with pytest.raises(Unavailable, match="401 Unauthorized"):
            await it.send([EVENT.document])
        assert len(server.requests) == 1
        file.write_text("new")
        await it.send([EVENT.document])
    assert len(server.requests) == 3


async def test_a_file_that_comes_to_hold_no_token_leaves_the_old_one_in_use(
    tmp_path: Path,
) -> None:
    file, server = tmp_path / "token", Server()
    file.write_text("old")
    server.token = "new"
    async with client(server, token_file=str(file)) as it:
        file.write_text("new\nnew\n")
        with pytest.raises(Unavailable, match="401 Unauthorized"):
            await it.send([EVENT.document])
        server.token = "old"
        await it.send([EVENT.document])


def test_an_unreadable_token_or_certificate_is_told(tmp_path: Path) -> None:
    async def make(**files: str) -> None:
        auditclient.AuditClient(url="http://x", timeout_s=1.0, user_agent="t", **files)

    for name in ("token_file", "ca_file"):
        with pytest.raises(errors.ConnectionConfigError, match="gone"):
            asyncio.run(make(**{name: str(tmp_path / "gone")}))


@pytest.mark.usefixtures("parted")
async def test_an_authority_that_is_new_in_the_file_is_trusted_by_the_next_request(
    tmp_path: Path,
) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = authority.Authority(tmp_path / "old"), authority.Authority(tmp_path / "new")
    file, server = tmp_path / "ca.crt", Server()
    file.write_bytes(old.ca.read_bytes())
    async with client(server, issuer=new, ca_file=str(file)) as it:
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED") as caught:
            await it.send([EVENT.document])
        assert (caught.value.outcome, server.requests) == (Outcome.NOTHING, [])
        replacement = tmp_path / "replacement"
        replacement.write_bytes(new.ca.read_bytes())
        replacement.replace(file)
        await it.send([EVENT.document])
    assert len(server.requests) == 1


@pytest.mark.looptime
async def test_second_tries_are_under_the_deadline_of_the_first(tmp_path: Path) -> None:
    file, server = tmp_path / "token", Server()
    file.write_text("old")
    server.token, server.takes_s = "new", 4.0
    async with client(server, token_file=str(file), timeout_s=5.0) as it:
        started = asyncio.get_running_loop().time()
        sending = asyncio.create_task(it.send([EVENT.document]))
        await asyncio.sleep(1.0)
        file.write_text("new")
        with pytest.raises(Unavailable) as caught:
            await sending
        assert asyncio.get_running_loop().time() - started == pytest.approx(5.0, abs=0.1)
    assert (caught.value.outcome, len(server.requests)) == (Outcome.UNDECIDED, 2)


async def test_a_record_is_asked_for_by_correlation_and_type_page_by_page() -> None:
    server = Server()
    server.pages = [[{"event_data": {"event_key": "other"}}] * 100, [EVENT.document]]
    async with client(server) as it:
        assert await it.find(EVENT)
    asked = {"correlation_id": "rr-1", "event_type": "workflowexecution.workflow.created"}
    assert [query for _, query, _ in server.requests] == [
        {**asked, "limit": "100", "offset": "0"},
        {**asked, "limit": "100", "offset": "100"},
    ]


@pytest.mark.parametrize("body", [{"data": []}, {"data": None}, {}])
async def test_a_record_that_is_not_there_is_not_found(body: dict[str, Any]) -> None:
    server = Server()
    server.answer = web.json_response(body)
    async with client(server) as it:
        assert not await it.find(EVENT)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Unavailable),
        (403, NotAskable),
        (404, NotAskable),
        (500, Failing),
        (503, Unavailable),
        (504, Silent),
    ],
)
async def test_a_question_that_is_refused(status: int, error: type[auditclient.StoreError]) -> None:
    server = Server()
    server.answer = problem(status)
    async with client(server) as it:
        with pytest.raises(error) as caught:
            await it.find(EVENT)
    assert caught.type is error


@pytest.mark.looptime
async def test_a_question_without_an_answer_meets_silence() -> None:
    server = Server()
    server.takes_s = 3600.0
    async with client(server) as it:
        with pytest.raises(Silent, match="Timeout"):
            await it.find(EVENT)


async def test_a_question_to_a_server_that_is_not_there_meets_an_outage() -> None:
    it = auditclient.AuditClient(url="http://127.0.0.1:1", timeout_s=PATIENT_S, user_agent="test")
    with pytest.raises(Unavailable) as caught:
        await it.find(EVENT)
    await it.close()
    assert caught.type is Unavailable


async def test_an_answer_that_is_not_json_is_none() -> None:
    server = Server()
    server.answer = web.Response(text="hello")
    async with client(server) as it:
        with pytest.raises(Unavailable):
            await it.find(EVENT)


@pytest.mark.looptime
async def test_an_answer_in_several_segments_is_read_to_its_end() -> None:
    server = Server()
    server.segments = [b'{"data": [', b"%s]}" % orjson.dumps(EVENT.document)]
    async with client(server) as it:
        assert await it.find(EVENT)


async def test_a_long_answer_is_read_to_its_end() -> None:
    server = Server()
    server.pages = [[{"padding": "x" * 300_000}, EVENT.document]]
    async with client(server) as it:
        assert await it.find(EVENT)


async def test_an_answer_without_measure_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditclient, "_MAX_ANSWER_BYTES", 1000)
    server = Server()
    server.answer = web.json_response({"padding": "x" * 1000}, status=201)
    async with client(server) as it:
        with pytest.raises(Unavailable, match="201 with more than 1000 bytes") as caught:
            await it.send([EVENT.document])
    assert caught.value.outcome is Outcome.UNDECIDED


@pytest.mark.looptime
async def test_an_answer_with_a_broken_chunk_is_undecided() -> None:
    async def handle(exchange: servers.Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        exchange.writer.close()

    async with servers.serving(handle) as server:
        it = auditclient.AuditClient(url=server.url, timeout_s=5.0, user_agent="test")
        with pytest.raises(Unavailable) as caught:
            await it.send([EVENT.document])
        await it.close()
    assert caught.value.outcome is Outcome.UNDECIDED


@pytest.mark.looptime
async def test_an_answer_whose_connection_is_closed_in_silence_is_undecided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle(exchange: servers.Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n")
        await exchange.stay_silent()

    servers.close_in_silence(monkeypatch)
    async with servers.serving(handle) as server:
        it = auditclient.AuditClient(url=server.url, timeout_s=5.0, user_agent="test")
        with pytest.raises(Unavailable, match="Connection closed") as caught:
            await it.send([EVENT.document])
        await it.close()
    assert caught.value.outcome is Outcome.UNDECIDED


async def test_endless_pages_end_without_a_word_on_the_record() -> None:
    server = Server()
    server.pages = [*[[{}] * 100 for _ in range(20)], [EVENT.document]]
    async with client(server) as it:
        with pytest.raises(Failing, match="not among the first 2000 rows") as caught:
            await it.find(EVENT)
    # It may be the next row, so that it must not be sent again.
    assert caught.type is Failing
    assert len(server.requests) == 20


async def test_the_last_page_that_is_asked_for_may_end_the_rows() -> None:
    server = Server()
    server.pages = [*[[{}] * 100 for _ in range(19)], [{}] * 99]
    async with client(server) as it:
        assert not await it.find(EVENT)
