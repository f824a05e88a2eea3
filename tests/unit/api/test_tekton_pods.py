"""Pods of tasks: what ended them, and whether anything ran or may begin in them."""

import pytest

from workflowexecution.api import tekton


@pytest.mark.parametrize(
    ("containers", "ran"),
    [
        pytest.param([{"name": "step-run", "imageID": "i"}], True, id="ran"),
        pytest.param([{"name": "step-run", "imageID": ""}], False, id="never-ran"),
        pytest.param(None, False, id="no-container"),
    ],
)
def test_a_pod_tells_what_ended_it_and_whether_it_ran(containers: object, ran: bool) -> None:
    status = {"reason": "Evicted", "containerStatuses": containers}
    pod = tekton.project_pod({"metadata": {"name": "p"}, "status": status})
    assert pod == tekton.Pod("p", "Evicted", ran)


STEP, INIT = {"name": "step-run"}, {"name": "prepare"}
READY = {"tekton.dev/ready": "READY"}


@pytest.mark.parametrize(
    ("phase", "marks", "spec", "expected"),
    [
        pytest.param("Pending", {}, {"containers": [STEP], "initContainers": [INIT]}, False,
                     id="waits-for-tekton"),
        pytest.param("Pending", READY, {"containers": [STEP]}, True, id="waits-for-nothing"),
        pytest.param("Pending", {}, {"containers": [STEP, {"name": "sidecar-x"}]}, True,
                     id="sidecar"),
        pytest.param("Pending", {}, {"containers": [STEP], "initContainers": [
            {"name": "sidecar-x"}]}, True, id="sidecar-of-kubernetes"),
        pytest.param("Pending", {}, {"containers": [STEP, {"name": "proxy"}]}, True, id="injected"),
        pytest.param("Pending", {}, {}, True, id="unknown"),
        pytest.param("Unknown", READY, {"containers": [STEP]}, True, id="node-lost"),
        pytest.param("Failed", READY, {}, False, id="failed"),
        pytest.param("Succeeded", READY, {}, False, id="succeeded"),
    ],
)  # fmt: skip
def test_a_pod_tells_whether_anything_may_begin_in_it_when_its_task_is_over(
    phase: str, marks: dict[str, str], spec: dict[str, object], expected: bool
) -> None:
    raw = {"metadata": {"annotations": marks}, "spec": spec, "status": {"phase": phase}}
    assert tekton.project_pod(raw).may_begin is expected


@pytest.mark.parametrize(("answer", "told"), [("True", "EvictionByEvictionAPI"), ("False", "")])
def test_a_pod_tells_what_has_disrupted_it(answer: str, told: str) -> None:
    said = {"type": "DisruptionTarget", "status": answer, "reason": "EvictionByEvictionAPI"}
    assert tekton.project_pod({"status": {"conditions": [said]}}).disruption == told


@pytest.mark.parametrize(
    ("ready", "inner", "unheard"),
    [
        pytest.param("False", "True", True, id="node-away"),
        pytest.param("False", "False", False, id="container-ended"),
        pytest.param("True", "True", False, id="ready"),
        pytest.param("False", None, False, id="not-told"),
        pytest.param(None, "True", False, id="not-begun"),
    ],
)
def test_a_pod_tells_that_its_node_no_longer_answers(
    ready: str | None, inner: str | None, *, unheard: bool
) -> None:
    """The node's controller takes back Ready alone; a kubelet would take back both."""
    told = (("Ready", ready), ("ContainersReady", inner))
    said = [{"type": kind, "status": answer} for kind, answer in told if answer]
    assert tekton.project_pod({"status": {"conditions": said}}).is_unheard is unheard
