import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from workflowexecution.runtime import probes


@contextlib.asynccontextmanager
async def answering(endpoint: probes.Probes) -> AsyncIterator[str]:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(endpoint.run())
        await endpoint.wait_listening()
        yield f"http://127.0.0.1:{endpoint.port}"
        running.cancel()


def build(
    liveness: dict[str, probes.Check] | None = None,
    readiness: dict[str, probes.Check] | None = None,
) -> probes.Probes:
    return probes.Probes(address="127.0.0.1:0", liveness=liveness or {}, readiness=readiness or {})


async def ask(url: str) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


def fine() -> str | None:
    return None


def broken() -> str | None:
    return "no list yet"


@pytest.mark.requirement(
    "WE-SERVICE", "Health/Ready Port: 8081 (/health, /ready - no auth required)"
)
@pytest.mark.parametrize("path", [*probes.LIVENESS_PATHS, *probes.READINESS_PATHS])
async def test_probe_succeeds_when_nothing_is_checked(path: str) -> None:
    async with answering(build()) as url:
        assert await ask(url + path) == (200, {"status": "ok", "checks": {}})


@pytest.mark.parametrize("path", probes.READINESS_PATHS)
async def test_readiness_names_each_failing_check(path: str) -> None:
    async with answering(build(readiness={"loop": fine, "cache": broken})) as url:
        assert await ask(url + path) == (
            503,
            {"status": "failing", "checks": {"loop": "ok", "cache": "no list yet"}},
        )
        assert (await ask(f"{url}/healthz"))[0] == 200


@pytest.mark.parametrize("path", probes.LIVENESS_PATHS)
async def test_liveness_names_each_failing_check(path: str) -> None:
    async with answering(build(liveness={"cache": broken})) as url:
        status, body = await ask(url + path)
        assert (status, body) == (
            503,
            {"status": "failing", "checks": {"cache": "no list yet"}},
        )
        assert (await ask(f"{url}/readyz"))[0] == 200


async def test_check_is_made_at_each_probe() -> None:
    reasons: list[str | None] = [None, "later"]
    async with answering(build(readiness={"x": lambda: reasons.pop(0)})) as url:
        assert [(await ask(f"{url}/readyz"))[0] for _ in range(2)] == [200, 503]


async def test_probes_fail_when_the_port_is_taken() -> None:
    async with answering(build()) as url:
        taken = probes.Probes(address=url.removeprefix("http://"), liveness={}, readiness={})
        with pytest.raises(OSError, match="address already in use"):
            await taken.run()


async def test_probes_free_the_port_when_cancelled() -> None:
    endpoint = build()
    async with answering(endpoint):
        pass
    again = probes.Probes(address=f"127.0.0.1:{endpoint.port}", liveness={}, readiness={})
    async with answering(again) as url:
        assert (await ask(f"{url}/readyz"))[0] == 200
