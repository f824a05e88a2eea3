"""What Tekton's admission webhook refuses of a PipelineRun.

Source: tektoncd/pipeline v1.9.6, pkg/apis/pipeline/v1/pipelinerun_validation.go.
"""

from tests.fake import statuses
from tests.fake.statuses import JsonObject
from tests.support import executions

_WEBHOOK = 'admission webhook "validation.webhook.pipeline.tekton.dev" denied the request: '
_STATUSES = {"", "Cancelled", "CancelledRunFinally", "StoppedRunFinally", "PipelineRunPending"}


def check_run(new: JsonObject, old: JsonObject | None) -> None:
    """Refuse changes of a run's spec that Tekton refuses.

    Raises:
        StatusError: 400; the run is done, or more than `spec.status` would change.
    """
    spec = new.get("spec") or {}
    if spec.get("status", "") not in _STATUSES:
        _deny(f"invalid value: {spec['status']} should be Cancelled, ...: spec.status")
    before = (old or {}).get("spec")
    if before is None or before == spec:
        return
    if executions.is_final(new):
        _deny("invalid value: Once the PipelineRun is complete, no updates are allowed: ")
    if _without_status(before) != _without_status(spec):
        _deny("invalid value: Once the PipelineRun has started, only status updates are allowed: ")


def _without_status(spec: JsonObject) -> JsonObject:
    return {name: value for name, value in spec.items() if name != "status"}


def _deny(message: str) -> None:
    raise statuses.bad_request(f"{_WEBHOOK}validation failed: {message}")
