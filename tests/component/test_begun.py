"""What has begun is not forgotten when Tekton, who makes a second pod, does not say so any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import hands, world
from tests.fake import kinds

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("has_begun", [True, False])
async def test_pod_that_worked_and_was_replaced_by_one_that_never_starts(
    here: World, *, has_begun: bool
) -> None:
    here.ask("first")
    async with here.controller():
        await here.until_phase("Running", "first")
        run = here.run() or {}
        tekton = hands.Hands(here.cluster)
        # All at once: no progress is written in between.
        tekton.begin(run, worked=has_begun)
        (task,) = here.cluster.items(kinds.TASK_RUNS, world.NAMESPACE)
        second = {"status": {"steps": [builders.step(ran=False)]}}
        here.cluster.patch(
            kinds.TASK_RUNS, world.NAMESPACE, task["metadata"]["name"], second, subresource="status"
        )
        tekton.end(run, hands.FAILED)
        await here.until_phase("Failed", "first")
    said = (here.execution("first") or {})["status"]
    assert said["requiresManualReview"] is has_begun
