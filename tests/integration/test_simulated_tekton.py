"""The simulated Tekton's objects are such as Tekton's own CRDs take and keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.fake import kinds
from tests.fake.api import Api
from tests.fake.stage import Stage
from tests.fake.tekton import AGENT, PARAMETER, playing
from tests.integration import world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake.api import Endpoint
    from tests.fake.statuses import JsonObject
    from tests.integration.world import World

RUNS = kinds.PIPELINE_RUNS


@pytest_asyncio.fixture
async def tekton(endpoint: Endpoint, world: World) -> AsyncIterator[None]:
    """A simulated Tekton in the test's own namespace, for as long as the test lasts."""
    async with Api(endpoint, agent=AGENT) as api, playing(Stage(api), world.namespace):
        yield


async def _play(here: World, scenario: str) -> JsonObject:
    """Start a run and return it as it is in the end."""
    reference = {"resolver": "bundles", "params": [{"name": "bundle", "value": "registry/flow"}]}
    body = {
        "metadata": {"name": "r"},
        "spec": {
            "pipelineRef": reference,
            "params": [{"name": PARAMETER, "value": scenario}],
            "timeouts": {"pipeline": "30m0s"},
        },
    }
    (await here.api.create(RUNS, here.namespace, body)).accept()
    place = (RUNS, here.namespace, "r")
    return await world.until(here.api, place, lambda run: _condition(run)[0] in {"True", "False"})


def _condition(item: JsonObject) -> tuple[str, str]:
    conditions = item.get("status", {}).get("conditions") or [{"status": "", "reason": ""}]
    return conditions[0]["status"], conditions[0]["reason"]


@pytest.mark.usefixtures("tekton")
@pytest.mark.parametrize(
    ("scenario", "status", "reason"),
    [
        pytest.param("plain", "True", "Succeeded", id="plain"),
        pytest.param("full", "True", "Succeeded", id="full"),
        pytest.param("skipped", "True", "Completed", id="skipped"),
        pytest.param("exit-42", "False", "Failed", id="exit-42"),
        pytest.param("image-missing", "False", "Failed", id="image-missing"),
        pytest.param("retried", "False", "Failed", id="retried"),
        pytest.param("finally", "False", "Failed", id="finally"),
        pytest.param("bundle-missing", "False", "CouldntGetPipeline", id="bundle-missing"),
    ],
)
async def test_run_ends_as_on_the_fake_when_played_on_a_real_server(
    world: World, scenario: str, status: str, reason: str
) -> None:
    run = await _play(world, scenario)
    assert _condition(run) == (status, reason)
    assert {"startTime", "completionTime"} <= run["status"].keys()


@pytest.mark.usefixtures("tekton")
async def test_nothing_of_the_status_is_pruned_when_stored_by_a_real_server(
    world: World,
) -> None:
    run = await _play(world, "retried")
    assert [each["name"] for each in run["status"]["pipelineSpec"]["tasks"]] == ["prepare", "apply"]
    assert run["status"]["provenance"]["refSource"]["digest"]["sha256"]
    names = [each["name"] for each in run["status"]["childReferences"]]
    assert names == ["r-prepare", "r-apply"]
    reply = await world.api.get(kinds.TASK_RUNS, world.namespace, "r-apply")
    status = reply.accept()["status"]
    assert len(status["retriesStatus"]) == 2
    step = status["steps"][0]
    assert step["terminated"]["exitCode"] == 1
    assert step["imageID"]
