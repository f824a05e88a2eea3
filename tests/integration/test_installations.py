"""Two installations side by side: each its own executions and lease, the same locks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.fake import kinds
from tests.integration import trail

if TYPE_CHECKING:
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.support.program import Program


async def test_two_installations_share_the_locks_and_nothing_else(
    controllers: Controllers, audit: AuditLog
) -> None:
    blue = controllers.world
    green = replace(blue, instance=f"green-{blue.runs}")
    election = {"leaderElection": True, "leaderElectionNamespace": blue.runs}
    target = f"{blue.namespace}/deployment/shared"
    async with (
        controllers.running(controller=election) as first,
        controllers.running(controller={**election, "instance": green.instance}) as second,
    ):
        await blue.create(blue.execution("blue", targetResource=target))
        await blue.phase("blue", "Running")
        await green.create(green.execution("green", targetResource=target))
        skipped = await green.phase("green", "Skipped")
        assert skipped["skipDetails"]["reason"] == "ResourceBusy"
        await green.create(green.execution("alone"))
        await green.phase("alone", "Running")
        leases = (await blue.api.list(kinds.LEASES, blue.runs)).accept()["items"]

        def written(by: Program) -> set[str]:
            return {it.name for it in audit.written(by, blue.namespace)}

        # The log may be behind what is seen.
        await trail.until(lambda: len(written(first)) + len(written(second)) >= 3)
        assert (written(first), written(second)) == ({"blue"}, {"green", "alone"})
    default = "workflowexecution.kubernaut.ai"
    names = sorted(it["metadata"]["name"] for it in leases)
    assert names == sorted(f"{it.instance}.{default}" for it in (blue, green))
