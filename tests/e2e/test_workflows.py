"""What a user sees of workflows that real Tekton runs in real containers."""

from __future__ import annotations

import base64
import datetime
import statistics
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.audit import AuditLog
from tests.support import place, workflows
from tests.support.workflows import Task, Workflow

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject
    from tests.support.program import Program

pytestmark = pytest.mark.usefixtures("controller")

OK = Task("apply", "echo applied")
LOCK_CHECK_S = 0.1
ENDED = ("Succeeded", "Failed")
CHECKS = 15

VALUES = {
    "QUOTES": 'it\'s "quoted" and `ticked`',
    "SHELL": "$(date) ${HOME} $HOME; rm -rf / & | > <",
    "LINES": "first\n second\n\n",
    "UNICODE": "grüße 漢字 \U0001f680",
    "BACKSLASH": "C:\\temp\\new\t.",
    "JSON": '{"a": [1, 2, {"b": null}]}',
    "SPACES": "  both sides  ",
    "EMPTY": "",
}


def ended(where: place.Place, phase: str, made: JsonObject, *, deadline_s: int = 120) -> Any:  # noqa: ANN401 - raw status
    """Create an execution, wait for its end, and give its status."""
    name = made["metadata"]["name"]
    where.kubectl.apply(made)
    where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.phase", phase, deadline_s=deadline_s)
    return where.kubectl.get("wfe", name, place.TEAM)["status"]


def own_run(where: place.Place, status: JsonObject) -> JsonObject:
    return where.kubectl.get("pipelinerun", status["pipelineRunRef"]["name"], place.NAMESPACE)


@pytest.fixture
def audit(where: place.Place) -> AuditLog:
    """What was asked of the API server since the test began."""
    if where.audit_log is None:
        pytest.skip("the API server's audit log is out of reach")
    return AuditLog(where.audit_log)


@pytest.mark.requirement("BR-WF-001", "Container image passed directly from spec")
@pytest.mark.requirement("BR-WF-001", "PipelineRun created within 5 seconds of CRD creation")
@pytest.mark.requirement("WE-SERVICE", "CRD API Group: kubernaut.ai/v1alpha1")
@pytest.mark.requirement(
    "WE-NAMESPACE", "All PipelineRuns execute in kubernaut-workflows namespace"
)
@pytest.mark.requirement(
    "WE-R1", "Create Tekton PipelineRun from user-provided workflow OCI bundle"
)
@pytest.mark.requirement("WE-R4", "Map PipelineRun conditions to WorkflowExecution status")
@pytest.mark.requirement("WE-PERFORMANCE", "PipelineRun Creation <5s")
@pytest.mark.requirement("WE-PERFORMANCE", "Status Sync <10s")
@pytest.mark.requirement("ADR-044", "Creates a single Tekton PipelineRun from OCI bundle")
@pytest.mark.requirement("ADR-044", "Monitors completion status (Success/Failed)")
@pytest.mark.requirement("ADR-044", "Does NOT transform workflows - OCI bundle used directly")
@pytest.mark.requirement("BR-WF-001", "PipelineRun created with bundle resolver")
@pytest.mark.requirement("BR-WF-002", "Empty parameters map handled gracefully")
@pytest.mark.requirement("BR-WF-003", "Phase transitions match PipelineRun status")
@pytest.mark.requirement("BR-WF-003", "CompletionTime set when execution finishes")
@pytest.mark.requirement("BR-WF-003", "Message populated from Tekton condition")
def test_execution_completes_when_every_task_succeeds(where: place.Place) -> None:
    pushed = workflows.push(where, "completes", OK, Task("verify", "echo fine"))
    made = workflows.execution("completes", pushed, parameters={})
    status = ended(where, "Completed", made)
    assert status["outcome"] == "Success"
    assert status["progress"] == "2/2"
    assert status["resolvedDigest"] == pushed.digest
    assert [it["phase"] for it in status["taskRuns"]] == ["Succeeded", "Succeeded"]
    run = own_run(where, status)
    assert run["spec"]["pipelineRef"]["resolver"] == "bundles"
    assert status["completionTime"] == run["status"]["completionTime"]
    assert status["message"] == run["status"]["conditions"][0]["message"]
    begin, end = (_seconds(run["metadata"]["creationTimestamp"]), _seconds(status["startTime"]))
    assert end - begin <= 5
    assert _seconds(_ready(status)) - _seconds(run["status"]["completionTime"]) <= 10


@pytest.mark.requirement("WE-R5", "Build FailureDetails from TaskRun errors for recovery context")
@pytest.mark.requirement("WE-PRACTICE", "Extract rich failure details from TaskRun for recovery")
@pytest.mark.requirement("BR-WF-003", "Outcome reflects success/failure accurately")
def test_execution_fails_with_the_step_when_the_second_task_exits_42(where: place.Place) -> None:
    pushed = workflows.push(where, "exits", OK, Task("verify", "echo no; exit 42"))
    status = ended(where, "Failed", workflows.execution("exits", pushed))
    details = status["failureDetails"]
    assert (details["reason"], details["exitCode"]) == ("TaskFailed", 42)
    assert (details["failedTaskName"], details["failedStepName"]) == ("verify", "run")
    assert details["failedTaskIndex"] == 1
    assert details["wasExecutionFailure"] is True
    assert status["outcome"] == "Failed"
    assert "exit code 42" in details["naturalLanguageSummary"]


@pytest.mark.requirement("BR-WF-002", "All parameters from spec present in PipelineRun")
@pytest.mark.requirement("BR-WF-002", "Parameter values passed as strings")
@pytest.mark.requirement("WE-R2", "Forward workflow parameters to PipelineRun")
@pytest.mark.requirement("WE-PRACTICE", "Pass all parameters from AIAnalysis to PipelineRun")
@pytest.mark.requirement("ADR-044", "Passes parameters directly to the PipelineRun")
@pytest.mark.requirement("BR-WF-002", "Parameter names preserved exactly")
@pytest.mark.requirement("BR-WF-006", "Workflow execution uses specified SA")
def test_step_receives_each_parameter_unchanged_under_the_named_account(where: place.Place) -> None:
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    prints = [
        f'printf "{name}="; printf %s "${name}" | base64 | tr -d "\\n"; echo' for name in VALUES
    ]
    script = "\n".join([*prints, f"printf TOKEN=; cut -d. -f2 {token}"])
    task = Task("tell", script, env={name: f"$(params.{name})" for name in VALUES})
    pushed = workflows.push(where, "tells", task, params=tuple(VALUES))
    config = {"serviceAccountName": place.OTHER_ACCOUNT}
    made = workflows.execution("tells", pushed, parameters=VALUES, executionConfig=config)
    status = ended(where, "Completed", made)
    run = own_run(where, status)
    pod = f"{run['status']['childReferences'][0]['name']}-pod"
    log = where.kubectl("logs", pod, "-n", place.NAMESPACE, "-c", "step-run")
    said = dict(line.split("=", 1) for line in log.splitlines())
    claims = base64.urlsafe_b64decode(said.pop("TOKEN") + "==").decode()
    assert {name: base64.b64decode(text).decode() for name, text in said.items()} == VALUES
    assert f"system:serviceaccount:{place.NAMESPACE}:{place.OTHER_ACCOUNT}" in claims


@pytest.mark.requirement(
    "ADR-044", "Does NOT implement rollback - Tekton finally tasks or operator responsibility"
)
@pytest.mark.requirement("ADR-044", "Does NOT orchestrate steps - Tekton handles this")
def test_steps_and_what_follows_a_failure_are_left_to_tekton(
    where: place.Place, audit: AuditLog, controller: Program
) -> None:
    tasks = (OK, Task("verify", "exit 1"), Task("never", "true"))
    pushed = workflows.push(where, "alone", *tasks, final=Task("tidy", "echo tidied"))
    status = ended(where, "Failed", workflows.execution("alone", pushed))
    assert {it["task"]: it["phase"] for it in status["taskRuns"]} == {
        "apply": "Succeeded",
        "verify": "Failed",
        "tidy": "Succeeded",
    }
    asked = audit.written(controller, place.NAMESPACE, status["pipelineRunRef"]["name"])
    told = {it.kind for it in asked if it.name == status["pipelineRunRef"]["name"]}
    assert told == {"create pipelineruns"}
    assert not {it.kind for it in asked if it.resource != "pipelineruns"}


@pytest.mark.requirement("ADR-044", "Validate spec (workflowRef, parameters)")
def test_execution_is_refused_before_a_run_when_its_spec_is_wrong(where: place.Place) -> None:
    with pytest.raises(AssertionError, match="containerImage"):
        where.kubectl.apply(workflows.execution("imageless", ""))
    taken = workflows.execution("taken", "r.example/w:1", parameters={"TARGET_RESOURCE": "x"})
    status = ended(where, "Failed", taken)
    assert status["failureDetails"]["reason"] == "ConfigurationError"
    assert "TARGET_RESOURCE" in status["failureDetails"]["message"]
    assert "pipelineRunRef" not in status


def test_execution_fails_without_having_run_when_the_bundle_is_missing(where: place.Place) -> None:
    made = workflows.execution("no-bundle", f"{where.registry}/workflows/nowhere:v1")
    status = ended(where, "Failed", made)
    details = status["failureDetails"]
    assert details["reason"] == "ConfigurationError"
    assert details["wasExecutionFailure"] is False
    assert "exitCode" not in details
    said = {it["type"]: (it["status"], it["reason"]) for it in status["conditions"]}
    assert said["TektonPipelineRunning"] == ("False", "PipelineFailedToStart")


def test_execution_fails_without_having_run_when_a_parameter_is_missing(where: place.Place) -> None:
    pushed = workflows.push(where, "needs", OK, params=("REPLICAS",))
    details = ended(where, "Failed", workflows.execution("needs", pushed))["failureDetails"]
    assert details["reason"] == "ConfigurationError"
    assert details["wasExecutionFailure"] is False
    assert "REPLICAS" in details["message"]


def test_execution_fails_without_having_run_when_the_account_is_missing(where: place.Place) -> None:
    pushed = workflows.push(where, "accountless", OK)
    config = {"serviceAccountName": place.MISSING_ACCOUNT}
    made = workflows.execution("accountless", pushed, executionConfig=config)
    details = ended(where, "Failed", made)["failureDetails"]
    assert details["reason"] == "ConfigurationError"
    assert details["wasExecutionFailure"] is False
    assert place.MISSING_ACCOUNT in details["message"]


def test_execution_counts_as_run_when_only_the_second_image_is_missing(where: place.Place) -> None:
    second = Task("verify", "true", image="localhost:1/none:v1", pull_policy="IfNotPresent")
    pushed = workflows.push(where, "pulls", OK, second)
    details = ended(where, "Failed", workflows.execution("pulls", pushed))["failureDetails"]
    assert details["reason"] == "ImagePullBackOff"
    assert details["failedTaskName"] == "verify"
    assert details["wasExecutionFailure"] is True
    assert "exitCode" not in details


@pytest.mark.requirement(
    "WE-PERFORMANCE", "Total Workflow <30min, configurable timeout per workflow"
)
@pytest.mark.requirement("ADR-044", "Workflow timeout handled by Tekton PipelineRun, configurable")
def test_execution_times_out_when_the_run_is_too_slow(where: place.Place) -> None:
    pushed = workflows.push(where, "slow", Task("sleeps", "sleep 600"))
    # Of it, the step is to have some.
    config = {"timeout": "30s"}
    status = ended(where, "Failed", workflows.execution("slow", pushed, executionConfig=config))
    assert status["outcome"] == "Timeout"
    assert status["failureDetails"]["reason"] == "DeadlineExceeded"
    assert status["failureDetails"]["wasExecutionFailure"] is True


def test_execution_names_the_memory_limit_when_a_step_exceeds_it(where: place.Place) -> None:
    eats = Task("eats", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo done", memory="24Mi")
    pushed = workflows.push(where, "eats", eats)
    details = ended(where, "Failed", workflows.execution("eats", pushed))["failureDetails"]
    assert (details["reason"], details["exitCode"]) == ("OOMKilled", 137)


def test_pinned_digest_runs_when_the_tag_has_moved(where: place.Place) -> None:
    reviewed = workflows.push(where, "pinned", Task("reviewed", "true"))
    moved = workflows.push(where, "pinned", Task("moved", "false"))
    assert moved.digest != reviewed.digest
    made = workflows.execution("pinned", reviewed)
    made["spec"]["workflowRef"]["containerDigest"] = reviewed.digest
    status = ended(where, "Completed", made)
    assert status["resolvedDigest"] == reviewed.digest
    assert [it["task"] for it in status["taskRuns"]] == ["reviewed"]


@pytest.fixture(scope="module")
def sleeper(where: place.Place) -> Workflow:
    """A workflow that outlives its test."""
    return workflows.push(where, "sleeper", Task("sleeps", "sleep 600"))


@pytest.mark.requirement("BR-WE-009", "Prevent parallel execution on same target resource")
@pytest.mark.requirement("BR-WE-011", "Target resource identification for locking")
@pytest.mark.requirement("WE-R3", "Prevent parallel/redundant execution")
@pytest.mark.requirement("WE-PRACTICE", "Check resource lock before creating PipelineRun")
def test_second_execution_is_skipped_when_its_target_is_busy(
    where: place.Place, sleeper: Workflow
) -> None:
    target = f"{place.TEAM}/deployment/contended"
    where.kubectl.apply(workflows.execution("holder", sleeper, targetResource=target))
    where.kubectl.wait("wfe/holder", place.TEAM, ".status.phase", "Running")
    other = target.replace("deployment", "Deployment")
    made = workflows.execution("late", sleeper, targetResource=other)
    status = ended(where, "Skipped", made)
    assert status["skipDetails"]["reason"] == "ResourceBusy"
    assert status["skipDetails"]["conflictingWorkflow"]["name"] == "holder"
    where.kubectl("delete", "wfe/holder", "wfe/late", "-n", place.TEAM, "--timeout=90s")


@pytest.mark.requirement("WE-PERFORMANCE", "Resource Lock Check <100ms")
def test_lock_is_checked_within_a_tenth_of_a_second(
    where: place.Place, sleeper: Workflow, audit: AuditLog, controller: Program
) -> None:
    """From the creation to the refusal's arrival; a median, since a machine may stand still."""
    target = f"{place.TEAM}/deployment/wanted"
    where.kubectl.apply(workflows.execution("keeper", sleeper, targetResource=target))
    where.kubectl.wait("wfe/keeper", place.TEAM, ".status.phase", "Running")
    names = [f"wants-{number}" for number in range(CHECKS)]
    for name in names:
        made = workflows.execution(name, sleeper, targetResource=target)
        assert ended(where, "Skipped", made)["skipDetails"]["reason"] == "ResourceBusy"
    written = audit.written(controller, *names)
    created = {it.name: it.at for it in audit.requests() if it.kind == "create workflowexecutions"}
    first = {name: min(it.at for it in written if it.name == name) for name in names}
    taken = sorted((first[name] - created[name]).total_seconds() for name in names)
    assert statistics.median(taken) < LOCK_CHECK_S, taken
    gone = [f"wfe/{name}" for name in ("keeper", *names)]
    where.kubectl("delete", *gone, "-n", place.TEAM, "--timeout=90s")


@pytest.mark.requirement("BR-WE-010", "Cooldown period prevents redundant sequential execution")
def test_same_workflow_is_skipped_right_after_it_has_completed(where: place.Place) -> None:
    pushed = workflows.push(where, "repeats", OK)
    target = f"{place.TEAM}/deployment/repeats"
    done = ended(where, "Completed", workflows.execution("repeats", pushed))
    again = workflows.execution("repeats-again", pushed, targetResource=target)
    again["spec"]["workflowRef"]["workflowId"] = "repeats"
    details = ended(where, "Skipped", again)["skipDetails"]
    assert details["reason"] == "RecentlyRemediated"
    assert details["retryAt"] == done["lockedUntil"]
    assert details["recentRemediation"]["name"] == "repeats"
    # Tekton calls a run done before its pods have ended, and until then it holds the target.
    run = done["pipelineRunRef"]["name"]
    for pod in where.kubectl.items("pods", place.NAMESPACE, f"tekton.dev/pipelineRun={run}"):
        name = pod["metadata"]["name"]
        where.kubectl.wait(f"pod/{name}", place.NAMESPACE, ".status.phase", "Succeeded")
    # Another workflow is not the same remedy over again.
    other = workflows.execution("repeats-not", pushed, targetResource=target)
    assert ended(where, "Completed", other)["outcome"] == "Success"


def assert_gone(where: place.Place, uid: str) -> None:
    """A run is gone and nothing of it works; its pods go when the kubelet has told of their end."""
    runs = where.kubectl.items("pipelineruns", place.NAMESPACE)
    assert uid not in {it["metadata"]["uid"] for it in runs}
    pods = where.kubectl.items("pods", place.NAMESPACE, f"tekton.dev/pipelineRunUID={uid}")
    assert [it["status"]["phase"] for it in pods if it["status"]["phase"] not in ENDED] == []
    for pod in pods:
        where.kubectl.wait_gone(f"pod/{pod['metadata']['name']}", place.NAMESPACE)


@pytest.mark.requirement("BR-WF-001", "Owner reference set to WorkflowExecution")
@pytest.mark.requirement("BR-WF-004", "Owner reference set on PipelineRun")
@pytest.mark.requirement("WE-PRACTICE", "Set owner reference for cascade deletion")
def test_run_is_owned_by_its_execution_and_goes_with_it_where_both_are_in_one_namespace(
    where: place.Place, sleeper: Workflow
) -> None:
    made = workflows.execution("owner", sleeper)
    made["metadata"]["namespace"] = place.NAMESPACE
    where.kubectl.apply(made)
    where.kubectl.wait("wfe/owner", place.NAMESPACE, ".status.phase", "Running")
    execution = where.kubectl.get("wfe", "owner", place.NAMESPACE)
    run = own_run(where, execution["status"])
    (owner,) = run["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("WorkflowExecution", execution["metadata"]["uid"])
    assert owner["controller"] is True
    where.kubectl("delete", "wfe/owner", "-n", place.NAMESPACE, "--timeout=90s")
    assert_gone(where, run["metadata"]["uid"])


@pytest.mark.requirement("BR-WF-004", "No orphaned PipelineRuns")
@pytest.mark.requirement("BR-WF-004", "PipelineRun deleted when WorkflowExecution deleted")
def test_deleting_a_running_execution_takes_its_run_and_pods(
    where: place.Place, sleeper: Workflow
) -> None:
    where.kubectl.apply(workflows.execution("deleted", sleeper))
    where.kubectl.wait("wfe/deleted", place.TEAM, ".status.currentStep", "sleeps/run")
    run = where.kubectl.get("wfe", "deleted", place.TEAM)["status"]["pipelineRunRef"]
    where.kubectl("delete", "wfe/deleted", "-n", place.TEAM, "--timeout=90s")
    assert_gone(where, run["uid"])


@pytest.mark.requirement("BR-WF-007", "WorkflowExecution marked Failed")
@pytest.mark.requirement("BR-WF-007", "Message indicates external deletion")
def test_execution_fails_once_when_somebody_deletes_its_run(
    where: place.Place, sleeper: Workflow
) -> None:
    where.kubectl.apply(workflows.execution("bereft", sleeper))
    where.kubectl.wait("wfe/bereft", place.TEAM, ".status.phase", "Running")
    run = where.kubectl.get("wfe", "bereft", place.TEAM)["status"]["pipelineRunRef"]
    where.kubectl("delete", "pipelinerun", run["name"], "-n", place.NAMESPACE, "--timeout=90s")
    where.kubectl.wait("wfe/bereft", place.TEAM, ".status.phase", "Failed")
    details = where.kubectl.get("wfe", "bereft", place.TEAM)["status"]["failureDetails"]
    assert "deleted by somebody else" in details["message"]
    assert details["wasExecutionFailure"] is True


def _ready(status: JsonObject) -> str:
    said = {it["type"]: it["lastTransitionTime"] for it in status["conditions"]}
    return str(said["Ready"])


def _seconds(stamp: str) -> float:
    return datetime.datetime.fromisoformat(stamp).timestamp()
