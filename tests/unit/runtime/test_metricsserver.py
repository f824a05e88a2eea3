import asyncio
import contextlib
import pathlib
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support import prometheus
from tests.unit.runtime.authority import Authority
from workflowexecution.runtime import metricsserver, servingcert
from workflowexecution.runtime.metricsserver import Verdict


@contextlib.asynccontextmanager
async def answering(
    verdict: Verdict | None = None, certificate: servingcert.ServingCertificate | None = None
) -> AsyncIterator[tuple[int, list[str]]]:
    """A server on a free port, and the Authorization headers that it judged."""
    judged: list[str] = []

    async def admit(authorization: str) -> Verdict:
        judged.append(authorization)
        return verdict or Verdict.ADMITTED

    server = metricsserver.MetricsServer(
        address="127.0.0.1:0",
        render=lambda *, scraped: b"scraped 1\n" if scraped else b"up 1\n",
        admit=admit if verdict else metricsserver.admit_anyone,
        certificate=certificate,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        await server.wait_listening()
        yield server.port, judged
        running.cancel()


@pytest.mark.requirement("BR-WF-008", "Metrics exposed on /metrics endpoint")
async def test_metrics_are_there_for_everyone_when_nobody_judges() -> None:
    async with answering() as (port, _), aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert (answer.status, await answer.text()) == (200, "up 1\n")
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        async with session.get(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 404


async def test_scrapes_of_prometheus_are_told_from_other_requests() -> None:
    async with answering() as (port, _), aiohttp.ClientSession() as session:
        place = f"http://127.0.0.1:{port}/metrics"
        async with session.get(place, headers=prometheus.SCRAPES) as answer:
            assert await answer.text() == "scraped 1\n"


@pytest.mark.parametrize("verdict", list(Verdict), ids=lambda it: it.name)
async def test_the_verdict_on_the_header_is_the_answer(verdict: Verdict) -> None:
    headers = {"Authorization": "Bearer abc"}
    async with answering(verdict) as (port, judged), aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer:
            body = await answer.text()
        assert answer.status == verdict.value
    assert judged == ["Bearer abc"]
    assert ("up 1" in body) is (verdict is Verdict.ADMITTED)
    assert ("WWW-Authenticate" in answer.headers) is (verdict is Verdict.UNKNOWN)


async def test_a_request_without_a_header_is_judged_too() -> None:
    async with (
        answering(Verdict.UNKNOWN) as (port, judged),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        assert answer.status == 401
    assert judged == [""]


@pytest.mark.usefixtures("parted")
async def test_metrics_speak_tls_when_there_is_a_certificate(tmp_path: pathlib.Path) -> None:
    authority = Authority(tmp_path)
    cert_file, key_file = map(str, authority.issue("server"))
    certificate = servingcert.ServingCertificate(cert_file=cert_file, key_file=key_file)
    trusting = ssl.create_default_context(cafile=str(authority.ca))
    trusting.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    async with answering(None, certificate) as (port, _), aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{port}/metrics"
        async with session.get(url, ssl=trusting) as answer:
            assert answer.status == 200
