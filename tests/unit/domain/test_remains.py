"""What is left of a run that Tekton calls ended."""

from __future__ import annotations

import pytest

from tests import builders
from workflowexecution.api import tekton
from workflowexecution.domain import remains


@pytest.mark.parametrize(
    ("answer", "pods", "expected"),
    [
        pytest.param("False", [("restart", False)], False, id="nothing"),
        pytest.param("Unknown", [("restart", False)], True, id="task"),
        pytest.param("False", [("restart", True)], True, id="pod"),
        pytest.param("False", [("other", False)], True, id="pod-unread"),
        pytest.param("False", [("restart", False), ("other", True)], True, id="pod-of-no-task"),
    ],
)
def test_what_lingers_may_begin_unless_every_task_and_pod_tells_that_it_will_not(
    answer: str, pods: list[tuple[str, bool]], expected: bool
) -> None:
    child = builders.task("restart", condition=(answer, "CreateContainerConfigError", ""))
    prefix = child.name.removesuffix("restart")
    there = [tekton.Pod(f"{prefix}{name}-pod", "", ran=False, may_begin=it) for name, it in pods]
    assert remains.may_begin([child], there) is expected


@pytest.mark.parametrize(
    ("pod", "reason", "expected"),
    [
        pytest.param(None, "CreateContainerConfigError", False, id="none-made"),
        pytest.param("restart", "CreateContainerConfigError", False, id="there"),
        pytest.param("other", "CreateContainerConfigError", True, id="gone"),
        pytest.param("other", "TaskRunTimeout", False, id="taken-by-tekton"),
        pytest.param("other", None, True, id="gone-for-no-reason"),
    ],
)
def test_pod_that_is_gone_went_unseen_unless_tekton_has_taken_it(
    pod: str | None, reason: str | None, *, expected: bool
) -> None:
    condition = None if reason is None else ("False", reason, "")
    name = {} if pod is not None else {"podName": None}
    child = builders.task("restart", condition=condition, status=name)
    prefix = child.name.removesuffix("restart")
    there = [tekton.Pod(f"{prefix}{pod}-pod", "", ran=False, may_begin=False)]
    assert remains.went_unseen([child], there) is expected
