"""The program by its entrance, as the command line calls it: it finds all it needs by itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.component import replicas, world
from tests.fake.paths import Match
from tests.support import otlp
from workflowexecution import app, config
from workflowexecution.runtime import watchdog

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator

    from tests.component.world import World

pytestmark = pytest.mark.looptime

WHO = "component"
ELECTS: dict[str, Any] = {"controller__leaderElection": True}
MANY = 64
CREATE_RUN = Match(verbs=("create",), resource="pipelineruns", agent=world.AGENT)
LEASES = Match(resource=replicas.LEASES, agent=world.AGENT)


class Machine:
    """What the program runs on; while it is suspended the loop's time stands still."""

    def __init__(self) -> None:
        """Have it awake all the time."""
        self.slept_s = 0.0

    def clock_gettime(self, number: int) -> float:
        """Stand for the kernel's clock that counts the time that the machine slept through."""
        assert number == time.CLOCK_BOOTTIME
        return asyncio.get_running_loop().time() + self.slept_s


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine of the test, which no watchdog watches."""
    made = Machine()
    monkeypatch.setattr(time, "clock_gettime", made.clock_gettime)
    monkeypatch.setattr(watchdog, "Watchdog", lambda *, spare_s: replicas.NoWatchdog())
    return made


@contextlib.asynccontextmanager
async def started(
    here: World,
    source: config.Source | None = None,
    **flags: Any,  # noqa: ANN401 - settings
) -> AsyncIterator[asyncio.Task[None]]:
    """Start the program; it has ended afterwards."""
    settings = world.settings_of(**flags) if source is None else source.load()
    task = asyncio.create_task(
        app.run(
            settings,
            kubeconfig=here.kubeconfig(),
            identity=WHO,
            source=source or config.Source(None, environ={}),
        )
    )
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_one_that_slept_past_the_end_of_its_lease_writes_nothing_when_it_wakes(
    here: World, machine: Machine
) -> None:
    async with started(here, **ELECTS) as program:
        await world.until(lambda: replicas.holder(here) == WHO)
        machine.slept_s += 60
        here.ask()
        with pytest.raises(app.Failed):
            await asyncio.wait_for(program, 60)
    assert here.writes("workflowexecutions") + here.writes("pipelineruns") == []


async def test_lease_is_given_back_when_the_program_is_stopped(
    here: World, machine: Machine
) -> None:
    async with started(here, **ELECTS) as program:
        here.ask()
        await here.until_phase("Running")
        assert replicas.holder(here) == WHO
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(program, 60)
    assert replicas.holder(here) == ""
    # A connection that was left open is an error now.
    gc.collect()


async def test_one_that_elects_nobody_acts_and_asks_for_no_lease(
    here: World, machine: Machine
) -> None:
    async with started(here):
        here.ask()
        await here.until_phase("Running")
    assert here.cluster.requests.count(CREATE_RUN) == 1
    assert here.cluster.requests.matching(LEASES) == []


async def test_no_worker_waits_for_a_connection_of_another(here: World, machine: Machine) -> None:
    held = here.cluster.faults.hold(CREATE_RUN)
    async with started(here, controller__workers=MANY):
        for number in range(MANY):
            here.ask(f"e-{number}", spec={"targetResource": f"payment/deployment/{number}"})
        await world.until(lambda: here.cluster.requests.count(CREATE_RUN) == MANY)
        held.release()


async def test_times_are_the_servers_when_this_machines_clock_is_wrong(
    here: World, machine: Machine
) -> None:
    async with started(here):
        here.ask()
        status = await here.until_phase("Running")
        run = here.run() or {}
        began = world.seconds_of(run["metadata"]["creationTimestamp"])
        assert abs(world.seconds_of(status["startTime"]) - began) <= 1
        # By this machine's clock it would have been overdue for long.
        await asyncio.sleep(60)
        assert (here.run() or {})["spec"].get("status") is None


async def test_settings_that_change_in_the_file_are_taken_over(
    here: World, machine: Machine, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("execution: {suspend: true}")
    async with started(here, config.Source(file, flags=world.OWN, environ={})):
        here.ask()
        await here.until_phase("Pending")
        file.write_text("execution: {suspend: false}")
        await here.until_phase("Running")


async def test_trace_of_an_execution_has_its_requests(here: World, machine: Machine) -> None:
    async with (
        otlp.Collector().running() as collector,
        started(here, tracing__endpoint=collector.url),
    ):
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
        await world.until(lambda: [it for it in collector.spans if it.name == "execution"])
    assert otlp.parents(collector.spans)["POST pipelineruns"] == {"reconcile"}


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        pytest.param(
            {
                "controller__metricsTLS__certFile": "/no/tls.crt",
                "controller__metricsTLS__keyFile": "/no/tls.key",
            },
            "controller.metricsTLS",
            id="metrics",
        ),
        pytest.param(
            {
                "audit__sink": "http",
                "datastorage__url": "http://127.0.0.1:1",
                "datastorage__tokenFile": "/no/token",
            },
            "datastorage",
            id="audit",
        ),
    ],
)
async def test_start_is_refused_when_a_file_that_a_setting_names_is_missing(
    here: World, flags: dict[str, Any], named: str
) -> None:
    async with started(here, **flags) as program:
        with pytest.raises(app.CannotStart, match=named):
            await asyncio.wait_for(program, 60)
    assert here.cluster.requests.entries == []


async def test_start_is_refused_without_a_way_to_the_cluster(tmp_path: pathlib.Path) -> None:
    source = config.Source(None, environ={})
    with pytest.raises(app.CannotStart):
        await app.run(
            world.settings_of(), kubeconfig=tmp_path / "none", identity=WHO, source=source
        )
