"""What happens: one story for all that goes well, one or more for each thing that can go wrong."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from tests import builders
from tests.component import replicas, world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.fake.stage import Pace
from tests.monitoring.stage import Situation

if TYPE_CHECKING:
    from tests.monitoring.stage import Stage

OURS = Match(agent=world.AGENT)
TARGET = "payment/deployment/contested"


async def calm(stage: Stage) -> None:
    async with stage.controller():
        await stage.ask_often()


async def standby(stage: Stage) -> None:
    async with stage.replica("controller-0"), stage.replica("controller-1"):
        await stage.ask_often()


async def failing(stage: Stage) -> None:
    async with stage.controller():
        await stage.ask_often("full", "exit-42", "full")


async def unlucky(stage: Stage) -> None:
    async with stage.controller():
        await stage.ask_often("full", "exit-42", "full", every_s=1200.0)


async def slow(stage: Stage) -> None:
    async with stage.controller():
        await stage.ask_often()


async def unhurried(stage: Stage) -> None:
    async with stage.controller():
        await stage.ask_often()


async def stale(stage: Stage) -> None:
    async with stage.replica("controller-0"):
        await world.until(lambda: replicas.holder(stage.here) == "controller-0")
        async with stage.replica("controller-1"):
            await asyncio.sleep(60)
            await stage.here.until_phase("Running", stage.ask())
            await asyncio.sleep(1)
            standby = Match(agent="controller-1/")
            stage.cluster.faults.silence_watches(standby)
            stage.cluster.faults.add(faults.bad_gateway(), standby, times=None)
            await stage.ask_often()


async def busy(stage: Stage) -> None:
    async with stage.controller():
        while True:
            stage.ask(target=TARGET)
            stage.ask()
            await asyncio.sleep(5)
            stage.ask(target=TARGET)
            await asyncio.sleep(400)


async def exhausted(stage: Stage) -> None:
    settings = {"backoff__baseCooldown": "1s", "backoff__maxCooldown": "1s"}
    async with stage.controller(**settings):
        while True:
            stage.ask("bundle-missing", target=TARGET)
            await asyncio.sleep(120)


async def blocked(stage: Stage) -> None:
    async with stage.controller():
        stage.ask("exit-42", target=TARGET)
        while True:
            await asyncio.sleep(300)
            stage.ask(target=TARGET)


async def deaf(stage: Stage) -> None:
    async with stage.controller():
        name = stage.ask("deaf", executionConfig={"timeout": "10m"})
        await stage.here.until_phase("Running", name)
        run = stage.cluster.items(kinds.PIPELINE_RUNS)[0]
        keep = {"metadata": {"finalizers": ["example.com/keep"]}}
        stage.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, run["metadata"]["name"], keep)
        await asyncio.sleep(600)
        other = stage.ask("deaf", executionConfig={"timeout": "20h"})
        await stage.here.until_phase("Running", other)
        for run in stage.cluster.items(kinds.PIPELINE_RUNS):
            place = kinds.PIPELINE_RUNS, world.NAMESPACE, run["metadata"]["name"]
            stage.cluster.patch(*place, keep)
        stage.cluster.delete(kinds.EXECUTIONS, world.TEAM, other)
        await asyncio.Future()


async def strangers(stage: Stage) -> None:
    async with stage.controller():
        await asyncio.sleep(300)
        lost = builders.raw_run(owner="gone", condition=("Unknown", "Running", "x"))
        lost["metadata"]["name"] = "wfe-0000000000000000"
        stage.cluster.create(lost)
        await asyncio.sleep(300)
        place = {"name": world.RUN, "namespace": world.NAMESPACE}
        body = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": place, "spec": {}}
        stage.cluster.create(body)
        while True:
            stage.ask(target=builders.TARGET)
            await asyncio.sleep(300)


async def down(stage: Stage) -> None:
    async with stage.controller():
        await asyncio.sleep(600)
    await asyncio.Future()


async def leaderless(stage: Stage) -> None:
    async with stage.replica("controller-0"), stage.replica("controller-1"):
        await asyncio.sleep(600)
        place = kinds.LEASES, *replicas.KEY
        while True:
            # Somebody who is none of them, and does nothing, renews the lease.
            lease: dict[str, Any] = stage.cluster.get(*place) or {}
            held = {"holderIdentity": "stranger", "renewTime": _micro_now()}
            if lease:
                stage.cluster.patch(*place, {"spec": held})
            await asyncio.sleep(2)


async def crowded(stage: Stage) -> None:
    async with stage.controller("controller-0"), stage.controller("controller-1"):
        await asyncio.Future()


async def flapping(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        for name in ("controller-0", "controller-1"):
            group.create_task(_restarted(stage, name))


async def _restarted(stage: Stage, name: str) -> None:
    """A replica that is killed whenever it has led for a while, and started again at once."""
    while True:
        async with stage.replica(name) as running:
            while replicas.holder(stage.here) != name:  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(1)
            await asyncio.sleep(150)
            await running.kill()


async def engineless(stage: Stage) -> None:
    async with stage.controller():
        await asyncio.sleep(600)
        stage.cluster.remove_api(kinds.PIPELINE_RUNS)
        stage.cluster.remove_api(kinds.TASK_RUNS)
        await asyncio.Future()


async def unlisted(stage: Stage) -> None:
    lists = Match(verbs=("list",), resource="pipelineruns")
    refusal = faults.Answer(403, '{"kind":"Status","reason":"Forbidden","code":403}')
    stage.cluster.faults.add(refusal, lists, times=None)
    async with stage.replica("controller-0"), stage.replica("controller-1"):
        await asyncio.Future()


async def cut_off(stage: Stage) -> None:
    # Runs are kept, so that nothing is deleted meanwhile.
    async with stage.controller(execution__runRetention="2h"), asyncio.TaskGroup() as group:
        group.create_task(stage.ask_often())
        await asyncio.sleep(600)
        stage.cluster.faults.silence_watches(OURS)
        stage.cluster.faults.add(faults.bad_gateway(), OURS, times=None)


async def doubtful(stage: Stage) -> None:
    async with stage.controller(), asyncio.TaskGroup() as group:
        group.create_task(stage.ask_often(every_s=300.0))
        await asyncio.sleep(600)
        stage.cluster.faults.add(faults.Drop(), OURS, times=None)
        stage.cluster.faults.drop_watches(OURS, ending=faults.Ending.RESET)
        await asyncio.sleep(5)
        stage.cluster.faults.heal()
        lists = Match(verbs=("list",), resource="taskruns", agent=world.AGENT)
        refusal = faults.Answer(403, '{"kind":"Status","reason":"Forbidden","code":403}')
        stage.cluster.faults.add(refusal, lists, times=None)


async def unwritable(stage: Stage) -> None:
    async with stage.controller(), asyncio.TaskGroup() as group:
        await asyncio.sleep(600)
        writes = Match(verbs=("patch", "create"), agent=world.AGENT)
        stage.cluster.faults.add(faults.bad_gateway(), writes, times=None)
        group.create_task(stage.ask_often(every_s=300.0))


async def sluggish(stage: Stage) -> None:
    async with stage.controller(controller__workers=1), asyncio.TaskGroup() as group:
        await asyncio.sleep(300)
        slowly = Match(verbs=("patch", "create"), agent=world.AGENT)
        stage.cluster.faults.add(faults.Delay(4.0), slowly, times=None)
        watches = Match(verbs=("watch",), agent=world.AGENT)
        stage.cluster.faults.add(faults.DelayEvents(20.0), watches, times=None)
        for stream in stage.cluster.faults.open_streams(watches):
            stream.apply(faults.DelayEvents(20.0))
        group.create_task(stage.ask_often(every_s=5.0))


async def throttled(stage: Stage) -> None:
    async with stage.controller(), asyncio.TaskGroup() as group:
        group.create_task(stage.ask_often())
        while True:
            await asyncio.sleep(4)
            stage.stall(1.7)


async def clocks(stage: Stage) -> None:
    async with stage.controller():
        await stage.ask_often()


async def unreadable(stage: Stage) -> None:
    async with stage.controller():
        await asyncio.sleep(300)
        made = stage.cluster.create(builders.raw_run(metadata={"name": "odd", "labels": {}}))
        odd = {key: value for key, value in made["metadata"].items() if key != "uid"}
        line = orjson.dumps({"type": "ADDED", "object": {**made, "metadata": odd}})
        runs = Match(resource="pipelineruns", agent=world.AGENT)
        while True:
            # A watch that is opened anew tells of it as it was created.
            stage.cluster.faults.inject([line], runs)
            await asyncio.sleep(10)


async def speechless(stage: Stage) -> None:
    events = Match(resource="events", agent=world.AGENT)
    async with stage.controller():
        await asyncio.sleep(600)
        stage.cluster.faults.add(faults.bad_gateway(503), events, times=None)
        await stage.ask_often()


async def storage_away(stage: Stage) -> None:
    async with stage.controller(), asyncio.TaskGroup() as group:
        group.create_task(stage.ask_often())
        await asyncio.sleep(600)
        stage.storage.faults.broken = True


async def storage_refuses(stage: Stage) -> None:
    async with stage.controller():
        await asyncio.sleep(600)
        stage.storage.faults.refused = stage.ask()
        await stage.ask_often()


async def outbox_refuses(stage: Stage) -> None:
    maps = Match(resource="configmaps", agent=world.AGENT)
    async with stage.controller(limits__auditBeforeDeletion="1m"):
        await asyncio.sleep(600)
        stage.storage.faults.broken = True
        refusal = faults.Answer(403, '{"kind":"Status","reason":"Forbidden","code":403}')
        stage.cluster.faults.add(refusal, maps, times=None)
        name = stage.ask()
        await stage.here.until_phase("Completed", name)
        stage.cluster.delete(kinds.EXECUTIONS, world.TEAM, name)
        await asyncio.Future()


async def edited(stage: Stage) -> None:
    async with stage.following() as write, asyncio.TaskGroup() as group:
        group.create_task(stage.ask_often())
        await asyncio.sleep(300)
        write("limits: {watchIdle: 2m}")
        await asyncio.sleep(1500)
        write("limits: {watchIdel: 2m}")


async def mended(stage: Stage) -> None:
    async with stage.following() as write, asyncio.TaskGroup() as group:
        group.create_task(stage.ask_often())
        while True:
            for text, for_s in (("limits: {watchIdle: 2m}", 600), ("limits: 5", 150)):
                await asyncio.sleep(60)
                write(text)
                await asyncio.sleep(for_s)
                write("{}")


def _micro_now() -> str:
    return world.virtual_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


ALL = {
    "calm": Situation("One workflow every 30 s, and all of them succeed", calm),
    "standby": Situation("The same with two replicas, of which one waits", standby),
    "failing": Situation("Every third workflow fails", failing, minutes=90),
    "unlucky": Situation("One of three workflows in an hour fails", unlucky),
    "slow": Situation("Workflows take five minutes", slow, pace=Pace(task_s=150.0)),
    "unhurried": Situation("Workflows take a minute and a half", unhurried, pace=Pace(task_s=45.0)),
    "stale": Situation("A replica that does not lead hears nothing any more", stale, minutes=90),
    "busy": Situation("A third of the executions want a target that is busy or cools down", busy),
    "exhausted": Situation("One target is tried again though its bundle is missing", exhausted),
    "blocked": Situation("A workflow failed half-way, and its target is wanted again", blocked),
    "deaf": Situation("Tekton ends no run, and one execution is deleted", deaf, minutes=120),
    "strangers": Situation("A lost run is alive, and a foreign one has a lock's name", strangers),
    "down": Situation("The only controller ends", down, minutes=30),
    "leaderless": Situation("A stranger takes the lease and keeps it", leaderless, minutes=30),
    "crowded": Situation("Two controllers run without leader election", crowded, minutes=10),
    "flapping": Situation("Of two replicas the leader is killed every 3 minutes", flapping),
    "engineless": Situation("Tekton is uninstalled", engineless, minutes=30),
    "unlisted": Situation("Two replicas start that may not list runs", unlisted, minutes=20),
    "cut-off": Situation("The API server falls silent, then answers 502", cut_off, minutes=45),
    "doubtful": Situation(
        "After an outage the TaskRuns may not be listed any more", doubtful, minutes=30
    ),
    "unwritable": Situation("The API server takes no writes", unwritable, minutes=45),
    "sluggish": Situation(
        "The API server takes 4 s for a write, and there is one worker", sluggish
    ),
    "throttled": Situation("The process gets no processor for 1.7 s out of 5.7", throttled),
    "clocks": Situation("The API server's clock is 30 s ahead", clocks, 30, server_ahead_s=30.0),
    "edited": Situation(
        "A setting that takes a restart is changed, then the file is wrong", edited
    ),
    "mended": Situation("The same, and each time it is put back soon", mended),
    "unreadable": Situation("A PipelineRun has no UID", unreadable, minutes=45),
    "speechless": Situation("The API server takes no events", speechless, minutes=45),
    "storage-away": Situation("The Data Storage answers 500", storage_away, minutes=60),
    "storage-refuses": Situation("The Data Storage refuses one record", storage_refuses),
    "outbox-refuses": Situation("Neither Data Storage nor outbox take records", outbox_refuses),
}
