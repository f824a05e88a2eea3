"""Controllers that were away, came back, were killed half-way: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from tests.integration import tekton
from tests.integration.world import COLLECTED_S, until_gone
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fake.api import Endpoint
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.proxy.calls import Call

CLAIM = "patch workflowexecutions"
CREATE = "create pipelineruns"
STATUS = "patch workflowexecutions/status"
MANY = 500
LOOKED_AT_S = 60.0


class TestAbsence:
    async def test_execution_is_picked_up_when_it_was_made_meanwhile(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        await world.create(world.execution("waiting"))
        async with controllers.running():
            await world.phase("waiting", "Running")

    async def test_end_is_told_when_a_run_ended_meanwhile(self, controllers: Controllers) -> None:
        world = controllers.world
        runs: dict[str, tekton.Run] = {}
        async with controllers.running() as first:
            for name in ("succeeds", "fails"):
                await world.create(world.execution(name))
                runs[name] = await world.play(await world.phase(name, "Running"), "restart")
            first.kill()
        for name, code in (("succeeds", 0), ("fails", 42)):
            await runs[name].start_task("restart")
            await runs[name].end_task("restart", exit_code=code)
            await runs[name].end()
        async with controllers.running():
            good = await world.phase("succeeds", "Completed")
            bad = await world.phase("fails", "Failed")
        assert (good["outcome"], good["progress"]) == ("Success", "1/1")
        assert bad["failureDetails"]["exitCode"] == 42
        assert bad["failureDetails"]["failedTaskName"] == "restart"

    async def test_execution_fails_when_its_run_was_deleted_meanwhile(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        async with controllers.running() as first:
            await world.create(world.execution("bereft"))
            status = await world.phase("bereft", "Running")
            first.kill()
        run = kinds.PIPELINE_RUNS, world.runs, status["pipelineRunRef"]["name"]
        (await world.api.delete(*run)).accept()
        async with controllers.running():
            failed = await world.phase("bereft", "Failed")
        assert "was deleted by somebody else" in failed["failureDetails"]["message"]
        assert failed["failureDetails"]["wasExecutionFailure"] is True
        assert (await world.api.get(*run)).status == 404

    async def test_execution_goes_when_it_was_deleted_meanwhile(
        self, controllers: Controllers, endpoint: Endpoint
    ) -> None:
        world = controllers.world
        async with controllers.running() as first:
            await world.create(world.execution("deleted"))
            status = await world.phase("deleted", "Running")
            first.kill()
        place = kinds.EXECUTIONS, world.namespace, "deleted"
        (await world.api.delete(*place)).accept()
        async with tekton.playing(endpoint, world.runs), controllers.running():
            await until_gone(world.api, place, deadline_s=COLLECTED_S)
        run = kinds.PIPELINE_RUNS, world.runs, status["pipelineRunRef"]["name"]
        assert (await world.api.get(*run)).status == 404


class TestCrash:
    """SIGKILL while one request is held, so that the point in time is exact."""

    @pytest.mark.parametrize(
        ("method", "point", "written"),
        [
            pytest.param("claim", Point.BEFORE, [CLAIM, CREATE, STATUS], id="before-the-claim"),
            pytest.param("claim", Point.AFTER, [CLAIM, CREATE, STATUS], id="after-the-claim"),
            pytest.param("create", Point.BEFORE, [CLAIM, CREATE, STATUS], id="before-the-create"),
            pytest.param("create", Point.AFTER, [STATUS], id="after-the-create"),
            pytest.param("status", Point.BEFORE, [STATUS], id="before-the-status"),
            pytest.param("status", Point.AFTER, [], id="after-the-status"),
        ],
    )
    async def test_one_run_and_no_failure_when_killed(
        self,
        controllers: Controllers,
        audit: AuditLog,
        method: str,
        point: Point,
        written: list[str],
    ) -> None:
        world = controllers.world
        async with controllers.proxy() as proxy:
            hold = proxy.hold(FITS[method], point)
            async with controllers.running(by_way_of=proxy) as first:
                made = await world.create(world.execution("killed"))
                await hold.wait()
                first.kill()
        before = await world.runs_of(made["metadata"]["uid"])
        async with controllers.running() as second:
            status = await world.phase("killed", "Running")
            await world.stays("killed", for_s=1.0)
            (run,) = await world.runs_of(made["metadata"]["uid"])
            assert status["pipelineRunRef"]["uid"] == run["metadata"]["uid"]
            assert [it["metadata"]["uid"] for it in before] in ([], [run["metadata"]["uid"]])
            await audit.expect(second, written, world.namespace, world.runs)
            await (await world.play(status)).end()
            await world.phase("killed", "Completed")

    async def test_end_is_told_once_when_killed_while_telling_it(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        async with controllers.proxy() as proxy:
            hold = proxy.hold(_ends, Point.BEFORE)
            async with controllers.running(by_way_of=proxy) as first:
                await world.create(world.execution("ends"))
                await (await world.play(await world.phase("ends", "Running"))).end()
                await hold.wait()
                first.kill()
        assert (await world.read("ends"))["status"]["phase"] == "Running"
        async with controllers.running():
            assert (await world.phase("ends", "Completed"))["outcome"] == "Success"


def _claims(call: Call) -> bool:
    return call.method == "PATCH" and "finalizers" in call.body.get("metadata", {})


def _creates(call: Call) -> bool:
    return call.method == "POST" and call.path.endswith("/pipelineruns")


def _starts(call: Call) -> bool:
    return call.path.endswith("/status") and call.body["status"].get("phase") == "Running"


def _ends(call: Call) -> bool:
    return call.path.endswith("/status") and call.body["status"].get("phase") == "Completed"


FITS: dict[str, Callable[[Call], bool]] = {
    "claim": _claims,
    "create": _creates,
    "status": _starts,
}


class TestLoss:
    """A request is lost on its way, or its answer is: the program cannot tell which."""

    @pytest.mark.parametrize("point", Point)
    @pytest.mark.parametrize("method", FITS)
    async def test_one_run_and_no_failure_when_a_connection_breaks(
        self, controllers: Controllers, method: str, point: Point
    ) -> None:
        world = controllers.world
        async with controllers.proxy() as proxy:
            hold = proxy.hold(FITS[method], point)
            async with controllers.running(by_way_of=proxy):
                made = await world.create(world.execution("lost"))
                await hold.wait()
                hold.drop()
                status = await world.phase("lost", "Running")
                (run,) = await world.runs_of(made["metadata"]["uid"])
                assert status["pipelineRunRef"]["uid"] == run["metadata"]["uid"]
                await (await world.play(status)).end()
                await world.phase("lost", "Completed")


class TestTwo:
    async def test_each_execution_gets_one_run_when_two_controllers_serve_it(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        names = [f"twice-{number}" for number in range(20)]
        async with controllers.running(), controllers.running():
            made = await asyncio.gather(*(world.create(world.execution(it)) for it in names))
            found = await asyncio.gather(*(world.phase(it, "Running") for it in names))
        for execution, status in zip(made, found, strict=True):
            (run,) = await world.runs_of(execution["metadata"]["uid"])
            assert status["pipelineRunRef"]["uid"] == run["metadata"]["uid"]


async def keep(world: World, name: str, uid: str) -> None:
    """A run that has ended, as it is kept for an execution."""
    labels = {"kubernaut.ai/workflow-execution-uid": uid}
    body = {"metadata": {"name": name, "labels": labels}}
    (await world.api.create(kinds.PIPELINE_RUNS, world.runs, body)).accept()
    over = {"type": "Succeeded", "status": "True", "reason": "Succeeded"}
    patch = {"status": {"conditions": [over], "completionTime": tekton.now()}}
    place = kinds.PIPELINE_RUNS, world.runs, name
    (await world.api.patch(*place, patch, subresource="status")).accept()


async def end(world: World, name: str, *, finalizer: bool, run: bool) -> JsonObject:
    """An execution that has ended, as a former controller left it."""
    body = world.execution(name)
    if finalizer:
        body["metadata"]["finalizers"] = ["kubernaut.ai/workflowexecution-cleanup"]
    made = await world.create(body)
    status = {
        "phase": "Completed",
        "outcome": "Success",
        "startTime": tekton.now(),
        "completionTime": tekton.now(),
    }
    patch = {"status": status}
    place = kinds.EXECUTIONS, world.namespace, name
    (await world.api.patch(*place, patch, subresource="status")).accept()
    if run:
        await keep(world, f"run-of-{name}", made["metadata"]["uid"])
    return made


class TestMany:
    @pytest.mark.parametrize("kept", [True, False], ids=["run-kept", "nothing-left"])
    async def test_start_writes_nothing_when_everything_has_ended(
        self, controllers: Controllers, audit: AuditLog, kept: bool
    ) -> None:
        world = controllers.world
        names = [f"ended-{number:03}" for number in range(MANY)]
        for some in range(0, MANY, 50):
            batch = names[some : some + 50]
            await asyncio.gather(*(end(world, it, finalizer=kept, run=kept) for it in batch))
        # Looked at after all others, and the only one with something to do: its run is gone.
        await end(world, "the-last", finalizer=True, run=False)
        async with controllers.running() as program:
            await world.until(
                "the-last", lambda it: "finalizers" not in it["metadata"], deadline_s=LOOKED_AT_S
            )
            await audit.expect(program, [CLAIM], world.namespace, world.runs)
            requests = [
                it for it in audit.requests() if it.agent.endswith(f"-{program.process.pid})")
            ]
        gets = [it for it in requests if it.verb == "get" and it.name]
        assert gets == []
