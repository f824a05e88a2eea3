"""Early warnings: told while a pod cannot start, and only then."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests import builders
from workflowexecution.api import tekton
from workflowexecution.api.status import PodEvent
from workflowexecution.domain import health

PENDING = ("Unknown", "Pending", "pod is waiting")


def task(*steps: dict[str, Any], condition: tuple[str, str, str] = PENDING) -> tekton.TaskRun:
    raw = builders.raw_task("check", condition=condition, steps=list(steps))
    return tekton.project_taskrun(raw, tekton.TaskRun)


def with_sidecar(sidecar: dict[str, Any]) -> tekton.TaskRun:
    raw = builders.raw_task("check", condition=PENDING, steps=[builders.step(running=True)])
    raw["status"]["sidecars"] = [sidecar]
    return tekton.project_taskrun(raw, tekton.TaskRun)


def waiting_step(reason: str) -> dict[str, Any]:
    return {**builders.step(ran=False), "waiting": {"reason": reason}}


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CreateContainerConfigError"])
def test_trouble_is_a_container_that_cannot_start(reason: str) -> None:
    said = health.trouble([task(waiting_step(reason))])
    assert said == f"Step 'run' of task 'check' cannot start: {reason}"


def test_trouble_is_a_pod_without_room() -> None:
    full = ("Unknown", "ExceededNodeResources", "insufficient memory")
    assert health.trouble([task(condition=full)]).endswith("insufficient memory")
    silent = ("Unknown", "PullImageFailed", "")
    assert health.trouble([task(condition=silent)]).endswith("PullImageFailed")


def test_no_trouble_is_a_pod_on_its_way_or_a_task_that_has_ended() -> None:
    ended = task(waiting_step("ImagePullBackOff"), condition=("False", "Failed", "x"))
    assert health.trouble([task(waiting_step("ContainerCreating")), ended]) == ""


def test_trouble_is_a_sidecar_that_cannot_start() -> None:
    said = health.trouble([with_sidecar(waiting_step("ErrImagePull"))])
    assert said == "Sidecar 'run' of task 'check' cannot start: ErrImagePull"


def test_a_task_never_began_that_failed_with_nothing_of_it_begun() -> None:
    failed = ("False", "TaskRunTimeout", "x")
    assert health.never_began([task(), task(waiting_step("Pending"), condition=failed)])
    assert not health.never_began([task(waiting_step("Pending"))])
    assert not health.never_began([task(builders.step(exit_code=1), condition=failed)])


def test_waiting_are_tasks_with_a_pod_of_which_a_container_has_not_begun() -> None:
    begun = task(builders.step(running=True), builders.step("next", exit_code=0))
    ended = task(condition=("True", "Succeeded", ""))
    waits = [
        task(waiting_step("ContainerCreating")),
        task(builders.step("look", running=True), waiting_step("PodInitializing")),
        with_sidecar(waiting_step("PodInitializing")),
        task(),
    ]
    assert health.waiting([begun, ended, *waits]) == waits


def test_a_step_that_tekton_has_ended_does_not_wait() -> None:
    assert health.waiting([task(builders.step(exit_code=1, ran=False))]) == []


def test_begun_are_the_containers_by_their_names_in_the_pod() -> None:
    child = task(builders.step("look", running=True), waiting_step("PodInitializing"))
    assert health.begun(child) == {"step-look"}
    assert health.begun(with_sidecar(builders.step("proxy", running=True))) == {
        "step-run",
        "sidecar-proxy",
    }


def test_a_waiting_task_is_looked_at_five_seconds_after_its_start() -> None:
    waits = task()
    started = waits.started_at
    assert started is not None
    assert health.look_in_s(waits, started + datetime.timedelta(seconds=2)) == 3.0
    raw = builders.raw_task("check")
    del raw["status"]["startTime"]
    fresh = tekton.project_taskrun(raw, tekton.TaskRun)
    assert health.look_in_s(fresh, builders.NOW) == health.LOOK_AFTER_S


@pytest.mark.parametrize("reason", ["Failed", "BackOff", "ErrImageNeverPull", "InspectFailed"])
def test_trouble_by_events_is_an_image_that_does_not_come(reason: str) -> None:
    said = health.trouble_by_events(task(), [PodEvent(reason=reason, message="not found")])
    assert said == f"Task 'check' cannot start: {reason}: not found"


def test_trouble_by_events_is_the_latest_that_matters() -> None:
    events = [
        PodEvent(reason="FailedScheduling", message="no node"),
        PodEvent(reason="FailedMount", message="configmap not found"),
        PodEvent(reason="Preempting", message="another"),
    ]
    said = health.trouble_by_events(task(), events)
    assert said == "Task 'check' cannot start: FailedMount: configmap not found"
    assert health.trouble_by_events(task(), events[2:]) == ""


NO_NODE = PodEvent(reason="FailedScheduling", message="no node")
NO_VOLUME = PodEvent(reason="FailedMount", message="no volume")


@pytest.mark.parametrize(
    ("child", "events", "said"),
    [
        pytest.param(task(), [NO_NODE], "FailedScheduling: no node", id="no-state"),
        pytest.param(
            task(builders.step(ran=False)), [NO_NODE], "FailedScheduling: no node", id="bare-state"
        ),
        pytest.param(task(waiting_step("PodInitializing")), [NO_NODE], "", id="has-a-node"),
        pytest.param(with_sidecar(waiting_step("PodInitializing")), [NO_NODE], "", id="sidecar"),
        pytest.param(
            task(waiting_step("PodInitializing")),
            [NO_VOLUME, NO_NODE],
            "FailedMount: no volume",
            id="what-is-not-over",
        ),
        pytest.param(
            task(builders.step("look", running=True), waiting_step("PodInitializing")),
            [NO_VOLUME, NO_NODE],
            "",
            id="one-has-begun",
        ),
    ],
)
def test_trouble_by_events_is_not_what_the_pod_has_got_past(
    child: tekton.TaskRun, events: list[PodEvent], said: str
) -> None:
    told = health.trouble_by_events(child, events)
    assert told == (f"Task 'check' cannot start: {said}" if said else "")


def test_trouble_by_events_is_a_retry_without_a_node_beside_the_states_of_the_attempt_before() -> (
    None
):
    steps = [waiting_step("PodInitializing")]
    raw = builders.raw_task("check", condition=PENDING, steps=steps)
    raw["status"]["retriesStatus"] = [{"podName": "check-pod", "steps": steps}]
    child = tekton.project_taskrun(raw, tekton.TaskRun)
    assert health.trouble_by_events(child, [NO_NODE]).endswith("FailedScheduling: no node")
