"""The metrics that the program shows, to whom."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.component import replicas, world
from tests.fake import faults
from tests.fake.paths import Match
from tests.support import prometheus
from tests.support.program import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.component.world import World

pytestmark = pytest.mark.looptime

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
REVIEWS = Match(path="/apis/authentication.k8s.io/v1/tokenreviews")
WATCHES = Match(resource="workflowexecutions", agent=world.AGENT)
RUN_WATCHES = Match(resource="pipelineruns", agent=world.AGENT)
NOTHING: Mapping[str, str] = {}


class Scraper:
    """Reads the metrics of one controller."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"
        self._session = session

    async def status(self, token: str = "") -> int:
        """What a request gets."""
        return (await self._get(token))[0]

    async def text(self, token: str = "") -> str:
        """What Prometheus reads."""
        status, text = await self._get(token)
        assert status == 200, text
        return text

    async def values(self, *, curl: bool = False) -> dict[str, float]:
        """Every series with its value, as Prometheus reads it, or a person."""
        status, text = await self._get("", {} if curl else prometheus.SCRAPES)
        assert status == 200, text
        rows = (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
        return {name: float(value) for name, _, value in rows}

    async def _get(self, token: str, more: Mapping[str, str] = NOTHING) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers.update(more)
        async with self._session.get(self._url, headers=headers) as answer:
            return answer.status, await answer.text()


@contextlib.asynccontextmanager
async def scraping_replica(
    here: World, name: str
) -> AsyncIterator[tuple[replicas.Replica, Scraper]]:
    port = free_port()
    flags = {"controller__metricsAddr": f"127.0.0.1:{port}", "controller__metricsAuth": False}
    async with replicas.replica(here, name, **flags) as running, aiohttp.ClientSession() as session:
        yield running, Scraper(port, session)


@contextlib.asynccontextmanager
async def scraping(here: World, **flags: Any) -> AsyncIterator[Scraper]:  # noqa: ANN401 - settings
    port = free_port()
    flags["controller__metricsAddr"] = f"127.0.0.1:{port}"
    async with here.controller(**flags), aiohttp.ClientSession() as session:
        # The port is open before anything is watched.
        await world.until(lambda: here.cluster.faults.open_streams(WATCHES))
        yield Scraper(port, session)


@pytest.mark.requirement("BR-WF-008", "Metrics exposed on /metrics endpoint")
@pytest.mark.requirement("BR-WF-008", "Metrics updated on execution completion")
@pytest.mark.requirement("BR-WF-008", "Labels include outcome and workflow_id")
async def test_life_of_an_execution_shows_in_the_metrics(here: World) -> None:
    async with scraping(here, controller__metricsAuth=False) as scraper:
        before = await scraper.values()
        assert before["workflowexecution_pipelinerun_creation_total"] == 0
        here.ask()
        await here.until_phase("Running")
        running = await scraper.values()
        here.end_run()
        await here.until_phase("Completed")
        after = await scraper.values()
    assert running["workflowexecution_pipelinerun_creation_total"] == 1
    assert running["workflowexecution_locks_held"] == 1
    labels = 'outcome="Success",workflow_id="restart-deployment"'
    assert "workflow_id=" not in "".join(before)
    assert running[f"workflowexecution_total{{{labels}}}"] == 0
    assert after[f"workflowexecution_total{{{labels}}}"] == 1
    assert after[f"workflowexecution_duration_seconds_count{{{labels}}}"] == 1
    assert after["workflowexecution_locks_held"] == 0
    assert after['workflowexecution_executions{phase="Completed"}'] == 1


async def test_first_end_is_an_increase_in_the_replica_that_takes_over(here: World) -> None:
    series = 'workflowexecution_total{outcome="Success",workflow_id="restart-deployment"}'
    async with scraping_replica(here, "first") as (leader, _):
        await world.until(lambda: replicas.holder(here) == "first")
        async with scraping_replica(here, "second") as (_, scraper):
            here.ask()
            await here.until_phase("Running")
            assert (await scraper.values())[series] == 0
            await leader.kill()
            here.end_run()
            await here.until_phase("Completed")
            assert (await scraper.values())[series] == 1


async def test_first_refusal_is_an_increase_though_it_comes_with_the_execution(
    here: World,
) -> None:
    series = 'workflowexecution_total{outcome="Failed",workflow_id="restart-deployment"}'
    async with scraping(here, controller__metricsAuth=False) as scraper:
        here.ask(spec={"targetResource": "/"})
        await here.until_phase("Failed")
        assert [(await scraper.values())[series] for _ in range(2)] == [0, 1]


async def test_a_person_reads_what_is_so_and_takes_nothing_from_prometheus(here: World) -> None:
    series = 'workflowexecution_total{outcome="Failed",workflow_id="restart-deployment"}'
    async with scraping(here, controller__metricsAuth=False) as scraper:
        here.ask(spec={"targetResource": "/"})
        await here.until_phase("Failed")
        read = [(await scraper.values(curl=it))[series] for it in (True, True, False, True, False)]
    assert read == [1, 1, 0, 1, 1]


async def test_what_is_documented_is_what_is_shown(here: World) -> None:
    async with scraping(here, controller__metricsAuth=False) as scraper:
        shown = re.findall(r"^# TYPE (\w+) (\w+)$", await scraper.text(), re.MULTILINE)
    written = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    kinds = {"counter", "gauge", "histogram"}
    assert sorted(shown) == sorted(it for it in written if it[1] in kinds)


async def test_machinery_shows_in_the_metrics(here: World) -> None:
    async with scraping(here, controller__metricsAuth=False) as scraper:
        here.ask()
        await here.until_phase("Running")
        await world.until(lambda: here.events())
        found = await scraper.values()
    assert found['rest_client_requests_total{code="200",method="PATCH"}'] == 2
    assert found['rest_client_requests_total{code="201",method="POST"}'] == 2
    assert found['workqueue_adds_total{name="workflowexecution"}'] >= 1
    success = 'controller_runtime_reconcile_total{controller="workflowexecution",result="success"}'
    assert found[success] >= 1
    assert found['controller_runtime_max_concurrent_reconciles{controller="workflowexecution"}'] > 1
    assert found['workflowexecution_cached_objects{resource="pipelineruns"}'] == 1
    assert found['workflowexecution_watch_age_seconds{resource="taskruns"}'] < 60
    assert found["workflowexecution_cache_lag_seconds_count"] == 3
    assert found["workflowexecution_events_written_total"] == 1


async def test_what_waits_shows_in_the_metrics(here: World) -> None:
    here.cluster.faults.hold(Match(verbs=("create",), resource="events"))
    async with scraping(here, controller__metricsAuth=False) as scraper:
        await world.until(lambda: here.cluster.faults.silence_watches(RUN_WATCHES))
        for name in ("one", "two"):
            here.ask(name, spec={"targetResource": f"payment/deployment/{name}"})
            await here.until_phase("Running", name)
        found = await scraper.values()
    # Of two events the first is on its way.
    assert found["workflowexecution_events_waiting"] == 1
    assert found["workflowexecution_parked_keys"] == 2


async def test_nothing_waits_for_a_worker_on_a_standby_nor_has_when_it_leads(here: World) -> None:
    depth = 'workqueue_depth{name="workflowexecution"}'
    waits = 'workqueue_queue_duration_seconds_sum{name="workflowexecution"}'
    async with scraping_replica(here, "first") as (leader, _):
        await world.until(lambda: replicas.holder(here) == "first")
        async with scraping_replica(here, "second") as (_, scraper):
            here.ask()
            await here.until_phase("Running")
            await asyncio.sleep(600)
            found = await scraper.values()
            assert (found[depth], found["workflowexecution_queue_oldest_seconds"]) == (0, 0)
            await leader.kill()
            await world.until(lambda: replicas.holder(here) == "second", within_s=60)
            here.end_run()
            await here.until_phase("Completed")
            assert (await scraper.values())[waits] < 1


async def test_only_the_leader_says_that_it_leads_and_for_how_long(here: World) -> None:
    leads = f'leader_election_master_status{{name="{replicas.KEY.name}"}}'
    left = "workflowexecution_lease_left_seconds"
    async with scraping_replica(here, "first") as (_, leader):
        await world.until(lambda: replicas.holder(here) == "first")
        async with scraping_replica(here, "second") as (_, standby):
            await asyncio.sleep(60)
            first, second = await leader.values(), await standby.values()
    assert (first[leads], second[leads]) == (1, 0)
    assert 0 < first[left] <= replicas.TIMING.renew_deadline_s
    assert second[left] == 0


async def test_requests_for_the_lease_are_counted(here: World) -> None:
    patches = 'rest_client_requests_total{code="200",method="PATCH"}'
    async with scraping_replica(here, "first") as (_, leader):
        await world.until(lambda: replicas.holder(here) == "first")
        before = (await leader.values()).get(patches, 0)
        await asyncio.sleep(60)
        # Nothing else is written, and the lease at least each 2.4 s.
        assert (await leader.values())[patches] - before >= 25


async def test_every_execution_is_looked_at_again_within_the_resync_period(here: World) -> None:
    success = 'controller_runtime_reconcile_total{controller="workflowexecution",result="success"}'
    calm = {"controller__metricsAuth": False, "limits__watchIdle": "24h"}
    async with scraping(here, limits__resyncPeriod="10m", **calm) as scraper:
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
        await asyncio.sleep(600)
        before = (await scraper.values())[success]
        await asyncio.sleep(3000)
        # Nothing has happened to it meanwhile, so nobody else has woken it.
        assert (await scraper.values())[success] - before == 5


@pytest.mark.requirement("WE-SERVICE", "Metrics Port: 9090 (/metrics - with auth filter)")
async def test_metrics_are_for_those_who_may_get_the_path(here: World) -> None:
    reviews = here.cluster.reviews
    reviews.users = {"any": "controller", "good": "prometheus", "plain": "bob"}
    reviews.allows = lambda spec: bool(spec["user"] == "prometheus")
    async with scraping(here) as scraper:
        assert await scraper.status() == 401
        assert await scraper.status("stranger") == 401
        assert await scraper.status("plain") == 403
        assert await scraper.status("good") == 200


async def test_nobody_reads_the_metrics_while_the_server_is_away(here: World) -> None:
    here.cluster.reviews.users = {"any": "controller"}
    here.cluster.faults.add(faults.Drop(), REVIEWS, times=None)
    async with scraping(here) as scraper:
        assert await scraper.status("any") == 503
        here.cluster.faults.heal()
        assert await scraper.status("any") == 200
