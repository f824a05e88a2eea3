"""What is to be done about a failure: the last sentences of its summary.

A sentence says what helps, and nothing that another sentence of the summary could contradict:
whether anything was changed is told before it.
"""

from __future__ import annotations

from typing import Final

from workflowexecution.api.status import FailureReason

TRY_AGAIN: Final = (
    "The bundle's registry did not answer as it should: see whether it is up and rightly named, "
    "then try again."
)
ASK_AGAIN: Final = (
    "An admission webhook of the cluster did not answer, which is no fault of the workflow: see "
    "whether the webhook is up, then try again."
)
NODE_BUSY: Final = (
    "The container runtime of the node did not answer in time, which is no fault of the workflow: "
    "see whether the node is well, then try again."
)
UNCOVERED: Final = (
    "Tekton is set to run only what a VerificationPolicy of the run's namespace covers, and none "
    "covers this bundle: use a bundle that one covers, or have a policy added."
)
UNSIGNED: Final = (
    "A VerificationPolicy of the run's namespace wants a signature and the pipeline has none: sign "
    "it and push it again, or use a signed bundle."
)
WRONGLY_SIGNED: Final = (
    "The pipeline's signature was made with another key, for another version of Tekton, or before "
    "a change: treat it as tampered with until it is reviewed and signed anew."
)
NEVER_BEGAN: Final = (
    "More time alone will not help: find out what the pod waited for, such as an image, a volume, "
    "a Secret, quota, or room on a node."
)
NEVER_CREATED: Final = (
    "More time alone will not help: no task was even created, as when the parameters are too large "
    "for what Tekton makes of them."
)
ELSEWHERE: Final = (
    "Read the object that the run made for that task: its controller says there why it failed. "
    "Mend that."
)
LOST: Final = "Find out what became of the pod and of its node."
UNHEARD: Final = (
    "More time alone will not help: find out what became of the node, and whether the step goes on "
    "there."
)
OVERFULL: Final = (
    "The pod used more storage than its own limit: raise that, or have the step use less; the same "
    "request will fail the same way."
)
STEP_LATE: Final = (
    "Raise the step's own timeout in the workflow, or have it do its work faster; "
    "spec.executionConfig.timeout has no effect on it."
)
UNSERVED: Final = (
    "See what the object that the run made for that task says, and whether a controller serves its "
    "kind at all; only then allow more time."
)
GONE: Final = (
    "Nothing of it is left to read: find out who deleted the PipelineRun and why, as from the "
    "audit log of the API server."
)
BY_REASON: Final = {
    FailureReason.OOM_KILLED: "Raise the memory limit of the step before another attempt.",
    FailureReason.DEADLINE_EXCEEDED: (
        "Allow more time (spec.executionConfig.timeout and the task's own timeout, 60 minutes "
        "unless the pipeline sets one) or use a faster workflow."
    ),
    FailureReason.FORBIDDEN: (
        "Have it allowed by whoever may (a role, credentials, a policy), or choose a workflow that "
        "needs less."
    ),
    FailureReason.RESOURCE_EXHAUSTED: "Free or add capacity or quota, then try again.",
    FailureReason.CONFIGURATION_ERROR: (
        "Correct the workflow, its parameters or its service account; the same request will fail "
        "the same way."
    ),
    FailureReason.IMAGE_PULL_BACK_OFF: "Check the image reference and the pull credentials.",
    FailureReason.TASK_FAILED: "Read the log of the step and mend its cause.",
    FailureReason.CANCELLED: "Find out who stopped it and why before another attempt.",
    FailureReason.UNKNOWN: "Read the PipelineRun and the logs of its steps.",
}
# Why this program ended a run, by `stopping.Cause`; of other causes the reason tells enough.
BY_STOP: Final = {
    "user": "Ask whoever cancelled it before another attempt.",
    "deadline": (
        "More time alone will not help: Tekton did not do its part. See whether its controller is "
        "up and well, then try again."
    ),
    "resolution": (
        "More time alone will not help: see whether Tekton's resolvers are up and the bundle's "
        "registry answers, then try again."
    ),
    "digest": (
        "Find out which of the digests is the right one and who has changed the bundle behind the "
        "reference, and do not run it before that is known."
    ),
    "lingering": LOST,
}
