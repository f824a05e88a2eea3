"""What befell a pod from outside is no failure of its task, and more time does not mend it."""

from typing import Any

import pytest

from tests import builders
from tests.unit.domain.failures import AT, SUBJECT, failed_task
from workflowexecution.api import tekton
from workflowexecution.api.status import FailureDetails, FailureReason
from workflowexecution.domain import failure

LOST = "Find out what became of the pod and of its node."
SIGNALLED = builders.step(exit_code=255)


def of_pod(
    task: tekton.TaskRun,
    said: str = "Failed",
    *,
    reason: str = "",
    **parts: Any,  # noqa: ANN401 - members of a pod
) -> FailureDetails:
    run = builders.run(condition=("False", said, "it ended"))
    pod = tekton.Pod(task.pod_name, reason, ran=True, **parts)
    return failure.classify_run(failure.Facts(run, (task,), pods=[pod]), SUBJECT, AT)


@pytest.mark.parametrize(
    ("ended", "reason", "advice"),
    [
        pytest.param("Evicted", "ResourceExhausted", "Free or add", id="evicted"),
        pytest.param("OutOfnvidia.com/gpu", "ResourceExhausted", "Free or add", id="out-of"),
        pytest.param("Terminated", "Unknown", LOST, id="node-shutdown"),
        pytest.param("NodeLost", "Unknown", LOST, id="node-lost"),
        pytest.param("DeadlineExceeded", "DeadlineExceeded", "Allow more", id="deadline"),
    ],
)
def test_a_pods_end_is_the_reason(ended: str, reason: str, advice: str) -> None:
    details = of_pod(failed_task(steps=[SIGNALLED]), reason=ended)
    assert details.reason == reason
    text = details.natural_language_summary
    assert f"The cluster says of its pod: {ended}». Task" in text
    assert advice in text


@pytest.mark.parametrize(
    "said",
    [
        'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ',
        'Container step-run exceeded its local ephemeral storage limit "1Mi". ',
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ",
    ],
)
def test_a_pod_that_was_evicted_for_its_own_limit_wants_no_more_of_the_cluster(said: str) -> None:
    details = of_pod(failed_task(message=said, steps=[SIGNALLED]), reason="Evicted")
    assert details.reason is FailureReason.RESOURCE_EXHAUSTED
    assert details.natural_language_summary.endswith("request will fail the same way.")


@pytest.mark.parametrize(
    ("disruption", "reason"),
    [
        pytest.param("PreemptionByScheduler", "ResourceExhausted", id="preempted"),
        pytest.param("DeletionByTaintManager", "Unknown", id="tainted"),
        pytest.param("EvictionByEvictionAPI", "Unknown", id="drained"),
    ],
)
@pytest.mark.parametrize("steps", [[SIGNALLED], [builders.step(running=True)], []])
def test_a_pod_that_was_disrupted_is_the_reason(
    disruption: str, reason: str, steps: list[dict[str, Any]]
) -> None:
    assert of_pod(failed_task(steps=steps), disruption=disruption).reason == reason


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        pytest.param(builders.step(exit_code=3), "TaskFailed", id="exit-code"),
        pytest.param(builders.step(exit_code=137, reason="OOMKilled"), "OOMKilled", id="oom"),
        pytest.param(builders.step(exit_code=128, reason="StartError"), "ConfigurationError",
                     id="never-began"),
    ],
)  # fmt: skip
def test_a_step_that_ended_by_itself_is_the_reason_though_its_pod_was_to_go(
    step: dict[str, Any], reason: str
) -> None:
    details = of_pod(failed_task(steps=[step]), disruption="EvictionByEvictionAPI")
    assert details.reason == reason


def test_a_container_that_the_kubelet_has_lost_did_not_fail() -> None:
    lost = builders.step(exit_code=137, reason="ContainerStatusUnknown")
    details = of_pod(failed_task(steps=[lost]))
    assert (details.reason, details.exit_code) == (FailureReason.UNKNOWN, None)
    assert details.natural_language_summary.endswith(LOST)


@pytest.mark.parametrize("of_task", ["TaskRunCancelled", "TaskRunTimeout"])
@pytest.mark.parametrize(
    ("parts", "told", "advice"),
    [
        pytest.param({"is_unheard": True}, "The node of its pod no longer answers».",
                     "and whether the step goes on", id="unheard"),
        pytest.param({"disruption": "DeletionByTaintManager"},
                     "The cluster says of its pod: DeletionByTaintManager».", LOST, id="tainted"),
    ],
)  # fmt: skip
def test_a_deadline_is_no_want_of_time_where_the_node_is_away(
    of_task: str, parts: dict[str, Any], told: str, advice: str
) -> None:
    ended = builders.step(exit_code=1, reason=of_task)
    details = of_pod(failed_task(reason=of_task, steps=[ended]), "PipelineRunTimeout", **parts)
    assert details.reason is FailureReason.DEADLINE_EXCEEDED
    assert told in details.natural_language_summary
    assert advice in details.natural_language_summary
