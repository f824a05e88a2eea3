"""The program away and back, while real Tekton goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import place, program, workflows
from tests.support.workflows import Task

if TYPE_CHECKING:
    from pathlib import Path


def test_execution_gets_its_run_when_it_was_created_while_the_program_was_down(
    where: place.Place, account: Path, tmp_path: Path
) -> None:
    pushed = workflows.push(where, "early", Task("apply", "true"))
    where.kubectl.apply(workflows.execution("early", pushed))
    with program.running(tmp_path, account):
        where.kubectl.wait("wfe/early", place.TEAM, ".status.phase", "Completed")


def test_execution_gets_its_end_when_its_run_ended_while_the_program_was_down(
    where: place.Place, account: Path, tmp_path: Path
) -> None:
    pushed = workflows.push(where, "ended", Task("apply", "sleep 4; exit 3"))
    with program.running(tmp_path, account) as first:
        where.kubectl.apply(workflows.execution("ended", pushed))
        where.kubectl.wait("wfe/ended", place.TEAM, ".status.phase", "Running")
        first.kill()
    run = where.kubectl.get("wfe", "ended", place.TEAM)["status"]["pipelineRunRef"]["name"]
    where.kubectl.wait(
        f"pipelinerun/{run}",
        place.NAMESPACE,
        '.status.conditions[?(@.type=="Succeeded")].status',
        "False",
    )
    with program.running(tmp_path, account):
        where.kubectl.wait("wfe/ended", place.TEAM, ".status.phase", "Failed")
    details = where.kubectl.get("wfe", "ended", place.TEAM)["status"]["failureDetails"]
    assert (details["reason"], details["exitCode"]) == ("TaskFailed", 3)
