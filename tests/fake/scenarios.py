"""What a simulated PipelineRun goes through: tasks, how each of them ends, and mishaps."""

import dataclasses
import enum


class End(enum.Enum):
    """How a task ends: each is a row of what real Tekton was seen to report."""

    SUCCEEDS = "succeeds"
    EXITS = "exits"
    OOM_KILLED = "oom-killed"
    IMAGE_MISSING = "image-missing"
    CONFIG_MISSING = "config-missing"
    POD_REFUSED = "pod-refused"
    HANGS = "hangs"


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """One task of one step called `run`.

    `duration_s` None takes the simulation's own pace. `retries` is the number of attempts that
    failed with `exit_code` before the last one. `log` is what the step has written at its end.
    """

    name: str
    end: End = End.SUCCEEDS
    exit_code: int = 1
    duration_s: float | None = None
    retries: int = 0
    log: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """The run fails before anything ran; `{run}` in the message is namespace/name."""

    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """The story of one run.

    Attributes:
        tasks: one after the other; empty: the run has no TaskRuns and two status changes.
        finals: the tasks of `finally`.
        skipped: names of tasks that `when` skips.
        refusal: the run fails at once.
        stuck: Tekton says Running once and never looks at the run again.
        deaf: Tekton ignores a cancellation and the run's timeout.
        vanishes: somebody deletes the run after its first task.
        digest: sha256 that the resolver reports instead of the true one, in hex.
    """

    tasks: tuple[Task, ...] = ()
    finals: tuple[Task, ...] = ()
    skipped: tuple[str, ...] = ()
    refusal: Refusal | None = None
    stuck: bool = False
    deaf: bool = False
    vanishes: bool = False
    digest: str = ""


_PREPARE = Task("prepare")
_HANGING = (_PREPARE, Task("apply", End.HANGS))


def _second(end: End, *, retries: int = 0) -> Scenario:
    return Scenario(tasks=(_PREPARE, Task("apply", end, retries=retries)))


PLAIN = Scenario()
FULL = Scenario(tasks=(_PREPARE, Task("apply")))
EXIT_42 = Scenario(
    tasks=(_PREPARE, Task("apply", End.EXITS, exit_code=42, log="applying\ncannot apply\n"))
)
OOM_KILLED = _second(End.OOM_KILLED)
IMAGE_MISSING = _second(End.IMAGE_MISSING)
CONFIG_MISSING = _second(End.CONFIG_MISSING)
POD_REFUSED = Scenario(tasks=(Task("prepare", End.POD_REFUSED),))
FIRST_IMAGE_MISSING = Scenario(tasks=(Task("prepare", End.IMAGE_MISSING),))
RETRIED = _second(End.EXITS, retries=2)
SKIPPED = Scenario(tasks=(_PREPARE,), skipped=("apply",))
FINALLY = Scenario(tasks=EXIT_42.tasks, finals=(Task("report"),))
HANGS = Scenario(tasks=_HANGING)
HANGS_WITH_FINALLY = Scenario(tasks=_HANGING, finals=(Task("report"),))
FINALLY_HANGS = Scenario(tasks=(_PREPARE,), finals=(Task("report", End.HANGS),))
STUCK = Scenario(tasks=FULL.tasks, stuck=True)
DEAF = Scenario(tasks=_HANGING, deaf=True)
VANISHES = Scenario(tasks=FULL.tasks, vanishes=True)
OTHER_DIGEST = Scenario(tasks=_HANGING, digest="0" * 64)
BUNDLE_MISSING = Scenario(
    refusal=Refusal(
        "CouldntGetPipeline",
        "Error retrieving pipeline for pipelinerun {run}: error requesting remote resource: error "
        'getting "bundleresolver" "kubernaut-workflows/bundles": cannot retrieve the oci image: '
        "GET http://registry/v2/none/manifests/latest: MANIFEST_UNKNOWN: manifest unknown",
    )
)
PARAMETER_MISSING = Scenario(
    refusal=Refusal(
        "ParameterMissing",
        "PipelineRun {run} is missing some parameters required by Pipeline "
        "kubernaut-workflows/workflow: pipelineRun missing parameters: [REPLICAS]",
    )
)

# By the names under which a run can ask for them.
NAMED = {
    "plain": PLAIN,
    "full": FULL,
    "exit-42": EXIT_42,
    "oom-killed": OOM_KILLED,
    "image-missing": IMAGE_MISSING,
    "first-image-missing": FIRST_IMAGE_MISSING,
    "config-missing": CONFIG_MISSING,
    "pod-refused": POD_REFUSED,
    "retried": RETRIED,
    "skipped": SKIPPED,
    "finally": FINALLY,
    "hangs": HANGS,
    "hangs-with-finally": HANGS_WITH_FINALLY,
    "finally-hangs": FINALLY_HANGS,
    "stuck": STUCK,
    "deaf": DEAF,
    "vanishes": VANISHES,
    "other-digest": OTHER_DIGEST,
    "bundle-missing": BUNDLE_MISSING,
    "parameter-missing": PARAMETER_MISSING,
}
