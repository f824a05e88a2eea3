"""An execution's life with something going wrong at each step: same end, one run, nothing lost."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support import executions

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

FIRST_PATCH = Match(verbs=("patch",), resource="workflowexecutions", subresource="")
CREATE = Match(verbs=("create",), resource="pipelineruns")
STATUS = Match(verbs=("patch",), resource="workflowexecutions", subresource="status")
READ_RUN = Match(verbs=("get",), resource="pipelineruns")


def _status(code: int, reason: str, message: str) -> faults.Answer:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }
    return faults.Answer(code, json.dumps(body))


async def lives(here: World) -> None:
    """From the asking to the end, whatever is in the way."""
    here.ask()
    await here.until_phase("Running")
    here.end_run()
    await here.until_phase("Completed")


def runs_made(here: World) -> int:
    return sum(it.status == 201 or it.status == 0 for it in here.writes("pipelineruns"))


@pytest.mark.parametrize(
    "match",
    [
        pytest.param(FIRST_PATCH, id="first-patch"),
        pytest.param(CREATE, id="create"),
        pytest.param(STATUS, id="status"),
    ],
)
@pytest.mark.parametrize(
    "effect",
    [
        pytest.param(faults.ApplyThenDrop(), id="applied-then-dropped"),
        pytest.param(faults.Drop(), id="dropped"),
        pytest.param(faults.throttled(), id="429"),
        pytest.param(faults.bad_gateway(), id="502"),
        pytest.param(faults.bad_gateway(504), id="504"),
        pytest.param(faults.Delay(3600), id="no-answer-for-an-hour"),
    ],
)
async def test_execution_completes_with_one_run_when_a_write_goes_wrong(
    here: World, match: Match, effect: faults.Effect
) -> None:
    here.cluster.faults.add(effect, match)
    async with here.controller():
        await lives(here)
        assert len(here.cluster.items(kinds.PIPELINE_RUNS)) == 1
    (run,) = here.cluster.items(kinds.PIPELINE_RUNS)
    ref = (here.execution() or {})["status"]["pipelineRunRef"]
    assert ref["uid"] == run["metadata"]["uid"]


async def test_execution_waits_when_nothing_is_known_of_its_create(here: World) -> None:
    here.cluster.faults.add(faults.ApplyThenDrop(), CREATE)
    here.cluster.faults.add(faults.bad_gateway(), READ_RUN, times=3)
    async with here.controller():
        await lives(here)
    assert len(here.cluster.items(kinds.PIPELINE_RUNS)) == 1


async def test_execution_fails_when_its_create_has_failed_for_too_long(here: World) -> None:
    here.cluster.faults.add(faults.bad_gateway(500), CREATE, times=None)
    async with here.controller(limits__createRetryFor="60s"):
        here.ask()
        status = await world.until(
            lambda: (
                it
                if (it := (here.execution() or {}).get("status") or {}).get("phase") == "Failed"
                else None
            ),
            within_s=300,
        )
    assert status["failureDetails"]["wasExecutionFailure"] is False
    assert "could not be created" in status["failureDetails"]["message"]
    assert here.cluster.items(kinds.PIPELINE_RUNS) == []


async def test_time_in_which_tekton_is_away_is_no_time_in_which_a_create_fails(
    here: World,
) -> None:
    """Tekton is installed anew; its webhook comes up a moment after its API."""
    here.cluster.faults.add(faults.bad_gateway(500), CREATE, times=None)
    async with here.controller():
        here.ask()
        await world.until(lambda: created(here) == "False")
        here.cluster.remove_api(kinds.PIPELINE_RUNS)
        here.cluster.faults.drop_watches()
        here.cluster.faults.heal()
        await world.until(lambda: created(here) == "Unknown")
        await asyncio.sleep(900)
        here.cluster.faults.add(faults.bad_gateway(500), CREATE, times=1)
        here.cluster.restore_api(kinds.PIPELINE_RUNS)
        await here.until_phase("Running")
    assert created(here) == "True"


async def test_time_in_which_no_controller_runs_is_no_time_in_which_a_create_fails(
    here: World,
) -> None:
    here.cluster.faults.add(faults.bad_gateway(500), CREATE, times=None)
    async with here.controller():
        here.ask()
        await world.until(lambda: created(here) == "False")
    await asyncio.sleep(900)
    here.cluster.faults.heal()
    here.cluster.faults.add(faults.bad_gateway(500), CREATE, times=1)
    async with here.controller():
        await here.until_phase("Running")


def created(here: World) -> str:
    """What the execution says of its create."""
    return executions.answer(here.execution() or {}, "TektonPipelineCreated")


@pytest.mark.parametrize(
    ("effect", "reason"),
    [
        pytest.param(
            _status(403, "Forbidden", "pipelineruns is forbidden: exceeded quota: q"),
            "ResourceExhausted",
            id="quota",
        ),
        pytest.param(
            _status(403, "Forbidden", "pipelineruns is forbidden: User cannot create"),
            "Forbidden",
            id="rbac",
        ),
        pytest.param(
            _status(400, "BadRequest", "admission webhook denied the request: no"),
            "ConfigurationError",
            id="webhook",
        ),
        pytest.param(_status(422, "Invalid", "spec.params: bad"), "ConfigurationError", id="422"),
    ],
)
async def test_execution_fails_at_once_when_its_create_is_refused(
    here: World, effect: faults.Effect, reason: str
) -> None:
    here.cluster.faults.add(effect, CREATE, times=None)
    async with here.controller():
        here.ask()
        status = await here.until_phase("Failed")
    assert status["failureDetails"]["reason"] == reason
    assert status["failureDetails"]["wasExecutionFailure"] is False
    assert len(here.writes("pipelineruns")) == 1


async def test_all_wait_and_none_fails_while_the_place_of_the_runs_is_closed(here: World) -> None:
    def waits(name: str) -> bool:
        return executions.answer(here.execution(name) or {}, "EngineAvailable") == "False"

    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        for kind in ("pipelineruns", "taskruns"):
            refused = _status(403, "Forbidden", f"{kind} is forbidden: User cannot")
            here.cluster.faults.add(refused, Match(resource=kind), times=None)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        here.ask("other", spec={"targetResource": "payment/deployment/other"})
        for name, phase in (("restart-payment", "Running"), ("other", "Pending")):
            await here.until_phase(phase, name)
            await world.until(functools.partial(waits, name))
        here.cluster.faults.heal()
        await here.until_phase("Running", "other")
        failed = await here.until_phase("Failed")
        assert not waits("other")
    assert "was deleted by somebody else" in failed["failureDetails"]["message"]


async def test_none_fails_when_the_create_is_allowed_a_moment_after_the_reads(here: World) -> None:
    """As with several API servers, or with a role that is given between two requests."""
    refused = _status(403, "Forbidden", "pipelineruns is forbidden: User cannot")

    def waits() -> bool:
        return executions.answer(here.execution() or {}, "EngineAvailable") == "False"

    async with here.controller():
        here.cluster.faults.add(refused, Match(resource="pipelineruns"), times=None)
        here.ask()
        await world.until(waits)
        here.cluster.faults.heal()
        here.cluster.faults.add(refused, CREATE, times=2)
        await here.until_phase("Running")
    assert runs_made(here) == 1


async def test_change_is_seen_when_the_watch_is_a_black_hole(here: World) -> None:
    async with here.controller(limits__watchIdle="30s"):
        here.ask()
        await here.until_phase("Running")
        assert here.cluster.faults.silence_watches(Match(resource="pipelineruns")) == 1
        here.end_run()
        await here.until_phase("Completed")


@pytest.mark.parametrize("ending", list(faults.Ending), ids=lambda it: it.value)
async def test_execution_completes_when_every_watch_breaks(
    here: World, ending: faults.Ending
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.faults.drop_watches(ending=ending)
        here.end_run()
        await here.until_phase("Completed")


async def test_execution_completes_when_its_versions_are_compacted(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        here.cluster.compact()
        here.cluster.faults.drop_watches()
        await here.until_phase("Completed")


async def test_own_writes_are_waited_for_when_the_watch_lags(here: World) -> None:
    here.cluster.faults.add(
        faults.DelayEvents(20), Match(verbs=("watch",), resource="workflowexecutions"), times=None
    )
    async with here.controller():
        await lives(here)
    assert len(here.cluster.items(kinds.PIPELINE_RUNS)) == 1
    assert all(it.status in (200, 201) for it in here.writes())


async def test_execution_waits_and_recovers_when_tekton_is_missing(here: World) -> None:
    here.cluster.remove_api(kinds.PIPELINE_RUNS)
    async with here.controller():
        here.ask()
        status = await here.until_phase("Pending")
        (said,) = status["conditions"]
        assert (said["type"], said["status"]) == ("EngineAvailable", "False")
        here.cluster.restore_api(kinds.PIPELINE_RUNS)
        await here.until_phase("Running")


async def test_execution_is_not_failed_when_tekton_is_removed_under_it(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.remove_api(kinds.PIPELINE_RUNS)
        await world.until(lambda: "EngineAvailable" in str(here.execution()))
        assert (here.execution() or {})["status"]["phase"] == "Running"


@pytest.mark.requirement("BR-WF-007", "NotFound handled without panic")
@pytest.mark.requirement("BR-WF-007", "WorkflowExecution marked Failed")
@pytest.mark.requirement("BR-WF-007", "Message indicates external deletion")
@pytest.mark.requirement("BR-WF-007", "No retry loop on deleted PipelineRun")
async def test_execution_fails_once_when_its_run_is_deleted_by_somebody(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        status = await here.until_phase("Failed")
    assert "deleted by somebody else" in status["failureDetails"]["message"]
    assert status["failureDetails"]["wasExecutionFailure"] is True
    assert runs_made(here) == 1


@pytest.mark.requirement("BR-WE-009", "Prevent parallel execution on same target resource")
@pytest.mark.requirement("WE-R3", "Prevent parallel/redundant execution")
async def test_execution_is_skipped_when_another_holds_its_target(here: World) -> None:
    async with here.controller():
        here.ask("first")
        await here.until_phase("Running", "first")
        here.ask("second")
        status = await here.until_phase("Skipped", "second")
    assert status["skipDetails"]["reason"] == "ResourceBusy"
    assert status["skipDetails"]["conflictingWorkflow"]["name"] == "first"
    assert len(here.cluster.items(kinds.PIPELINE_RUNS)) == 1


async def test_poison_object_does_not_stop_the_others(here: World) -> None:
    async with here.controller():
        here.cluster.create({
            "apiVersion": "kubernaut.ai/v1alpha1",
            "kind": "WorkflowExecution",
            "metadata": {"name": "poison", "namespace": world.TEAM},
            "spec": {"targetResource": {"no": "text"}, "workflowRef": 7},
            "status": {"phase": ["odd"], "conditions": "none"},
        })
        await lives(here)
        await here.until_phase("Failed", "poison")


async def test_execution_of_another_instance_is_left_alone(here: World) -> None:
    async with here.controller():
        here.ask("theirs", metadata={"labels": {"kubernaut.ai/instance": "blue"}})
        await lives(here)
    assert (here.execution("theirs") or {}).get("status") is None


async def test_nothing_new_starts_when_suspended(here: World) -> None:
    async with here.controller(execution__suspend=True):
        here.ask()
        status = await here.until_phase("Pending")
    assert [it["type"] for it in status["conditions"]] == ["Suspended"]
    assert here.cluster.items(kinds.PIPELINE_RUNS) == []
    async with here.controller():
        await here.until_phase("Running")
    assert executions.answer(here.execution() or {}, "Suspended") == "False"


async def test_run_that_ended_while_the_program_was_down_gets_its_end(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
    here.end_run()
    async with here.controller():
        await here.until_phase("Completed")


async def test_run_that_was_made_before_a_crash_is_adopted(here: World) -> None:
    held = here.cluster.faults.hold(STATUS)
    async with here.controller():
        here.ask()
        await held.reached.wait()
    here.cluster.faults.heal()
    run = here.run()
    here.end_run()
    async with here.controller():
        status = await here.until_phase("Completed")
    assert run
    assert status["pipelineRunRef"]["uid"] == run["metadata"]["uid"]
    assert builders.TARGET in str(run)
