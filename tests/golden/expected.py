"""What each case is: the record, case by case, held against what really happened.

`ran` is wasExecutionFailure: yes unless the recorded TaskRuns and pods prove that no container of a
step or sidecar ever existed. An exit code is told only where it is the step's own. `live` is what
keeps an execution Running although its run is done: a pod, or a task, that is not. `signed` is what
Tekton says of the signature, if it was asked. A success is Doubtful when something speaks against
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.golden import case, reading
from workflowexecution.api.status import FailureReason, Outcome

if TYPE_CHECKING:
    from tests.golden.reading import Record

# - A code of 255 is the step's own process ended by a signal; Tekton's entrypoint tells no more.
# - A container that was made but could not be started (memory-limit-too-small) counts as run, and
#   so do steps that waited for a sidecar, or for another step, whose image never came.
# - What Tekton tries again until the time is over, or never gives up (quota, scheduling, volumes,
#   imagePullPolicy Never), ends as a timeout: what it waited for is overwritten by then.
# - With a removed node its pod goes, the TaskRun fails and the run with it; then Tekton turns
#   the TaskRun back to Pending and makes it a second pod, for whatever node comes next.
TABLE: Final = """
case                            outcome   reason             task    step   exit sig ran live signed
exit-code                       Failed    TaskFailed         work    run    42   -   yes no   -
second-step                     Failed    TaskFailed         work    change 7    -   yes no   -
command-missing                 Failed    TaskFailed         work    run    127  -   yes no   -
entrypoint-missing              Failed    TaskFailed         work    run    1    -   yes no   -
rbac-denied                     Failed    TaskFailed         work    run    1    -   yes no   -
oom                             Failed    OOMKilled          work    run    137  9   yes no   -
oom-of-child                    Failed    OOMKilled          work    run    137  9   yes no   -
killed                          Failed    TaskFailed         work    run    255  -   yes no   -
child-killed                    Failed    TaskFailed         work    run    137  9   yes no   -
terminated                      Failed    TaskFailed         work    run    255  -   yes no   -
memory-limit-too-small          Failed    ConfigurationError work    run    -    -   yes no   -
sidecar-fails                   Success   -                  -       -      -    -   -   no   -
sidecar-image-absent            Failed    ImagePullBackOff   work    -      -    -   yes no   -
evicted                         Failed    ResourceExhausted  work    run    255  -   yes no   -
pod-deleted                     Failed    TaskFailed         work    run    255  -   yes no   -
taskrun-deleted                 Failed    TaskFailed         work    run    255  -   yes no   -
result-too-large                Failed    TaskFailed         work    run    1    -   yes no   -
result-missing                  Failed    ConfigurationError -       -      -    -   yes no   -
step-continues                  Success   -                  -       -      -    -   -   no   -
step-continues-then-fails       Failed    TaskFailed         work    go-on  6    -   yes no   -
succeeds                        Success   -                  -       -      -    -   -   no   -
retries-exhausted               Failed    TaskFailed         work    run    3    -   yes no   -
retry-mended                    Success   -                  -       -      -    -   -   no   -
retry-mended-then-fails         Failed    TaskFailed         work    run    4    -   yes no   -
when-skips                      Success   -                  -       -      -    -   -   no   -
when-skips-then-fails           Failed    TaskFailed         work    run    4    -   yes no   -
matrix                          Failed    TaskFailed         work    run    11   -   yes no   -
task-failure-ignored            Success   -                  -       -      -    -   -   no   -
task-failure-ignored-then-fails Failed    TaskFailed         work    run    6    -   yes no   -
parallel-failures               Failed    TaskFailed         fast    run    13   -   yes no   -
finally-fails                   Failed    TaskFailed         tidy    run    8    -   yes no   -
finally-fails-too               Failed    TaskFailed         work    run    4    -   yes no   -
finally-fails-after-missing-result Failed ConfigurationError -       -      -    -   yes no   -
finally-fails-after-custom-run  Failed    TaskFailed         approve -      -    -   yes no   -
finally-never-starts            Failed    ConfigurationError tidy    run    -    -   yes yes  -
image-absent                    Failed    ImagePullBackOff   work    run    -    -   no  no   -
image-invalid                   Failed    ImagePullBackOff   work    run    -    -   no  no   -
image-unauthorized              Failed    ImagePullBackOff   work    run    -    -   no  no   -
image-never-there               Timeout   DeadlineExceeded   work    run    -    -   no  no   -
second-image-absent             Failed    ImagePullBackOff   work    run    -    -   yes no   -
image-of-second-step-absent     Failed    ImagePullBackOff   work    change -    -   yes no   -
container-of-second-step-refused Failed   ConfigurationError work    change -    -   yes no   -
configmap-missing               Failed    ConfigurationError work    run    -    -   no  yes  -
configmap-comes-late            Failed    ConfigurationError work    run    -    -   yes yes  -
secret-missing                  Failed    ConfigurationError work    run    -    -   no  yes  -
secret-volume-missing           Timeout   DeadlineExceeded   work    run    -    -   no  no   -
volume-claim-missing            Timeout   DeadlineExceeded   work    -      -    -   no  no   -
unschedulable                   Timeout   DeadlineExceeded   work    -      -    -   no  no   -
second-unschedulable            Timeout   DeadlineExceeded   work    -      -    -   yes no   -
run-as-root                     Failed    ConfigurationError work    run    -    -   no  yes  -
account-missing                 Failed    ConfigurationError work    -      -    -   no  no   -
quota-exceeded                  Timeout   DeadlineExceeded   work    -      -    -   no  no   -
quota-wants-limits              Failed    ConfigurationError work    -      -    -   no  no   -
limit-range                     Failed    ConfigurationError work    -      -    -   no  no   -
pod-security                    Failed    Forbidden          work    -      -    -   no  no   -
parameter-missing               Failed    ConfigurationError -       -      -    -   no  no   -
parameter-of-wrong-type         Failed    ConfigurationError -       -      -    -   no  no   -
parameter-of-object-type        Failed    ConfigurationError -       -      -    -   no  no   -
pipeline-name-unknown           Failed    ConfigurationError -       -      -    -   no  no   -
bundle-absent                   Failed    ConfigurationError -       -      -    -   no  no   -
registry-unreachable            Failed    ConfigurationError -       -      -    -   no  no   -
registry-unauthorized           Failed    Forbidden          -       -      -    -   no  no   -
registry-busy                   Failed    ResourceExhausted  -       -      -    -   no  no   -
registry-broken                 Failed    ConfigurationError -       -      -    -   no  no   -
registry-forbidden              Failed    Forbidden          -       -      -    -   no  no   -
task-reference-missing          Failed    ConfigurationError -       -      -    -   no  no   -
graph-with-a-cycle              Failed    ConfigurationError -       -      -    -   no  no   -
workspace-missing               Failed    ConfigurationError -       -      -    -   no  no   -
parameter-too-long-for-exec     Failed    TaskFailed         work    run    1    -   yes no   -
parameters-too-large-for-etcd   Timeout   DeadlineExceeded   -       -      -    -   no  no   -
pipeline-timeout                Timeout   DeadlineExceeded   work    run    -    -   yes no   -
pipeline-timeout-in-second-task Timeout   DeadlineExceeded   work    run    -    -   yes no   -
pipeline-timeout-in-second-step Timeout   DeadlineExceeded   work    change -    -   yes no   -
pipeline-timeout-in-finally     Timeout   DeadlineExceeded   tidy    run    -    -   yes no   -
task-timeout                    Timeout   DeadlineExceeded   work    run    -    -   yes no   -
step-timeout                    Timeout   DeadlineExceeded   work    run    -    -   yes no   -
finally-timeout                 Timeout   DeadlineExceeded   tidy    run    -    -   yes no   -
fails-then-times-out            Failed    TaskFailed         work    run    4    -   yes no   -
fails-then-finally-times-out    Failed    TaskFailed         work    run    4    -   yes no   -
fails-then-cancelled            Failed    TaskFailed         work    run    4    -   yes no   -
cancelled                       Cancelled Cancelled          work    run    -    -   yes no   -
cancelled-gracefully            Cancelled Cancelled          work    run    -    -   yes no   -
cancelled-and-finally-fails     Cancelled Cancelled          work    run    -    -   yes no   -
stopped                         Cancelled Cancelled          -       -      -    -   yes no   -
cancelled-before-anything-ran   Cancelled Cancelled          work    -      -    -   no  no   -
custom-run                      Timeout   DeadlineExceeded   approve -      -    -   yes no   -
node-unreachable                Timeout   DeadlineExceeded   work    run    -    -   yes yes  -
node-removed-for-good           Failed    Unknown            work    run    -    -   yes no   -
node-removed                    Failed    Unknown            -       -      -    -   yes yes  -
oom-in-step-that-may-fail       Failed    OOMKilled          work    try    137  9   yes yes  -
oom-in-task-that-may-fail       Doubtful  -                  -       -      -    -   -   no   -
oom-in-sidecar                  Doubtful  -                  -       -      -    -   -   no   -
retry-after-oom                 Doubtful  -                  -       -      -    -   -   no   -
retry-after-eviction            Doubtful  -                  -       -      -    -   -   no   -
retry-after-pod-deleted         Doubtful  -                  -       -      -    -   -   no   -
drained-and-succeeds            Success   -                  -       -      -    -   -   no   -
bundle-unsigned                 Failed    ConfigurationError -       -      -    -   no  no   no
bundle-signed                   Success   -                  -       -      -    -   -   no   yes
bundle-signed-by-another-key    Failed    ConfigurationError -       -      -    -   no  no   no
bundle-changed-after-signing    Failed    ConfigurationError -       -      -    -   no  no   no
bundle-signed-for-other-tekton  Failed    ConfigurationError -       -      -    -   no  no   no
bundle-signed-then-fails        Failed    TaskFailed         work    run    4    -   yes no   yes
bundle-unsigned-warned          Success   -                  -       -      -    -   -   no   no
bundle-wrongly-signed-warned    Success   -                  -       -      -    -   -   no   no
bundle-without-policy           Failed    ConfigurationError -       -      -    -   no  no   no
"""
_DOUBTFUL: Final = "Doubtful"


@dataclass(frozen=True)
class Expected:
    """The record of a case; of a success nothing but the outcome is told."""

    outcome: Outcome
    reason: FailureReason | None = None
    task: str = ""
    step: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    ran: bool | None = None
    live: bool = False
    doubtful: bool = False
    signed: bool | None = None


def table(tekton: str = reading.VERSIONS[0]) -> dict[str, Expected]:
    """The expected records by case, of a version of Tekton."""
    _, *rows = TABLE.strip().splitlines()
    known = case.load(tekton)
    return {name: record for name, record in map(_row, rows) if name in known}


def of(record: Record) -> Expected:
    """What a record has of what is expected."""
    details = record.details
    if details is None:
        doubtful = bool(record.doubt)
        return Expected(record.outcome, live=record.live, doubtful=doubtful, signed=record.signed)
    return Expected(
        outcome=record.outcome,
        reason=details.reason,
        task=details.failed_task_name,
        step=details.failed_step_name,
        exit_code=details.exit_code,
        signal=details.signal,
        ran=details.was_execution_failure,
        live=record.live,
        signed=record.signed,
    )


def _row(line: str) -> tuple[str, Expected]:
    name, outcome, *cells = line.split()
    reason, task, step, code, signal, ran, live, signed = (
        None if cell == "-" else cell for cell in cells
    )
    return name, Expected(
        outcome=Outcome.SUCCESS if outcome == _DOUBTFUL else Outcome(outcome),
        reason=FailureReason(reason) if reason else None,
        task=task or "",
        step=step,
        exit_code=int(code) if code else None,
        signal=int(signal) if signal else None,
        ran=_answer(ran),
        live=live == "yes",
        doubtful=outcome == _DOUBTFUL,
        signed=_answer(signed),
    )


def _answer(cell: str | None) -> bool | None:
    return None if cell is None else cell == "yes"
