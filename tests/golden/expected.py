"""What each case is: the record, case by case, held against what really happened.

`ran` is wasExecutionFailure: yes unless the recorded TaskRuns and pods prove that no container of a
step or sidecar ever existed. An exit code is told only where it is the step's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workflowexecution.api.status import FailureReason, Outcome

if TYPE_CHECKING:
    from tests.golden.reading import Record

# - A code of 255 is the step's own process ended by a signal; Tekton's entrypoint tells no more.
# - A container that was made but could not be started (memory-limit-too-small) counts as run, and
#   so do steps that waited for a sidecar, or for another step, whose image never came.
# - What Tekton tries again until the time is over, or never gives up (quota, scheduling, volumes,
#   imagePullPolicy Never), ends as a timeout: what it waited for is overwritten by then.
TABLE: Final = """
case                           | outcome  | reason            | task   | step  | exit| sig| ran
exit-code                      | Failed   | TaskFailed        | work   | run   | 42  | -  | yes
second-step                    | Failed   | TaskFailed        | work   | change| 7   | -  | yes
command-missing                | Failed   | TaskFailed        | work   | run   | 127 | -  | yes
entrypoint-missing             | Failed   | TaskFailed        | work   | run   | 1   | -  | yes
rbac-denied                    | Failed   | TaskFailed        | work   | run   | 1   | -  | yes
oom                            | Failed   | OOMKilled         | work   | run   | 137 | 9  | yes
oom-of-child                   | Failed   | OOMKilled         | work   | run   | 137 | 9  | yes
killed                         | Failed   | TaskFailed        | work   | run   | 255 | -  | yes
child-killed                   | Failed   | TaskFailed        | work   | run   | 137 | 9  | yes
terminated                     | Failed   | TaskFailed        | work   | run   | 255 | -  | yes
memory-limit-too-small         | Failed   | ConfigurationError| work   | run   | -   | -  | yes
sidecar-fails                  | Success  | -                 | -      | -     | -   | -  | -
sidecar-image-absent           | Failed   | ImagePullBackOff  | work   | -     | -   | -  | yes
evicted                        | Failed   | ResourceExhausted | work   | run   | 255 | -  | yes
pod-deleted                    | Failed   | TaskFailed        | work   | run   | 255 | -  | yes
taskrun-deleted                | Failed   | TaskFailed        | work   | run   | 255 | -  | yes
result-too-large               | Failed   | TaskFailed        | work   | run   | 1   | -  | yes
result-missing                 | Failed   | ConfigurationError| -      | -     | -   | -  | yes
step-continues                 | Success  | -                 | -      | -     | -   | -  | -
step-continues-then-fails      | Failed   | TaskFailed        | work   | go-on | 6   | -  | yes
succeeds                       | Success  | -                 | -      | -     | -   | -  | -
retries-exhausted              | Failed   | TaskFailed        | work   | run   | 3   | -  | yes
retry-mended                   | Success  | -                 | -      | -     | -   | -  | -
retry-mended-then-fails        | Failed   | TaskFailed        | work   | run   | 4   | -  | yes
when-skips                     | Success  | -                 | -      | -     | -   | -  | -
when-skips-then-fails          | Failed   | TaskFailed        | work   | run   | 4   | -  | yes
matrix                         | Failed   | TaskFailed        | work   | run   | 11  | -  | yes
task-failure-ignored           | Success  | -                 | -      | -     | -   | -  | -
task-failure-ignored-then-fails| Failed   | TaskFailed        | work   | run   | 6   | -  | yes
parallel-failures              | Failed   | TaskFailed        | fast   | run   | 13  | -  | yes
finally-fails                  | Failed   | TaskFailed        | tidy   | run   | 8   | -  | yes
finally-fails-too              | Failed   | TaskFailed        | work   | run   | 4   | -  | yes
finally-never-starts           | Failed   | ConfigurationError| tidy   | run   | -   | -  | yes
image-absent                   | Failed   | ImagePullBackOff  | work   | run   | -   | -  | no
image-invalid                  | Failed   | ImagePullBackOff  | work   | run   | -   | -  | no
image-unauthorized             | Failed   | ImagePullBackOff  | work   | run   | -   | -  | no
image-never-there              | Timeout  | DeadlineExceeded  | work   | run   | -   | -  | no
second-image-absent            | Failed   | ImagePullBackOff  | work   | run   | -   | -  | yes
image-of-second-step-absent    | Failed   | ImagePullBackOff  | work   | change| -   | -  | yes
configmap-missing              | Failed   | ConfigurationError| work   | run   | -   | -  | no
configmap-comes-late           | Failed   | ConfigurationError| work   | run   | -   | -  | yes
secret-missing                 | Failed   | ConfigurationError| work   | run   | -   | -  | no
secret-volume-missing          | Timeout  | DeadlineExceeded  | work   | run   | -   | -  | no
volume-claim-missing           | Timeout  | DeadlineExceeded  | work   | -     | -   | -  | no
unschedulable                  | Timeout  | DeadlineExceeded  | work   | -     | -   | -  | no
second-unschedulable           | Timeout  | DeadlineExceeded  | work   | -     | -   | -  | yes
run-as-root                    | Failed   | ConfigurationError| work   | run   | -   | -  | no
account-missing                | Failed   | ConfigurationError| work   | -     | -   | -  | no
quota-exceeded                 | Timeout  | DeadlineExceeded  | work   | -     | -   | -  | no
quota-wants-limits             | Failed   | ConfigurationError| work   | -     | -   | -  | no
limit-range                    | Failed   | ConfigurationError| work   | -     | -   | -  | no
pod-security                   | Failed   | Forbidden         | work   | -     | -   | -  | no
parameter-missing              | Failed   | ConfigurationError| -      | -     | -   | -  | no
parameter-of-wrong-type        | Failed   | ConfigurationError| -      | -     | -   | -  | no
parameter-of-object-type       | Failed   | ConfigurationError| -      | -     | -   | -  | no
pipeline-name-unknown          | Failed   | ConfigurationError| -      | -     | -   | -  | no
bundle-absent                  | Failed   | ConfigurationError| -      | -     | -   | -  | no
registry-unreachable           | Failed   | ConfigurationError| -      | -     | -   | -  | no
registry-unauthorized          | Failed   | Forbidden         | -      | -     | -   | -  | no
registry-busy                  | Failed   | ResourceExhausted | -      | -     | -   | -  | no
registry-broken                | Failed   | ConfigurationError| -      | -     | -   | -  | no
registry-forbidden             | Failed   | Forbidden         | -      | -     | -   | -  | no
task-reference-missing         | Failed   | ConfigurationError| -      | -     | -   | -  | no
graph-with-a-cycle             | Failed   | ConfigurationError| -      | -     | -   | -  | no
workspace-missing              | Failed   | ConfigurationError| -      | -     | -   | -  | no
bundle-unsigned                | Failed   | ConfigurationError| -      | -     | -   | -  | no
parameter-too-long-for-exec    | Failed   | TaskFailed        | work   | run   | 1   | -  | yes
parameters-too-large-for-etcd  | Timeout  | DeadlineExceeded  | -      | -     | -   | -  | no
pipeline-timeout               | Timeout  | DeadlineExceeded  | work   | run   | -   | -  | yes
pipeline-timeout-in-second-task| Timeout  | DeadlineExceeded  | work   | run   | -   | -  | yes
pipeline-timeout-in-second-step| Timeout  | DeadlineExceeded  | work   | change| -   | -  | yes
pipeline-timeout-in-finally    | Timeout  | DeadlineExceeded  | tidy   | run   | -   | -  | yes
task-timeout                   | Timeout  | DeadlineExceeded  | work   | run   | -   | -  | yes
step-timeout                   | Timeout  | DeadlineExceeded  | work   | run   | -   | -  | yes
finally-timeout                | Timeout  | DeadlineExceeded  | tidy   | run   | -   | -  | yes
fails-then-times-out           | Failed   | TaskFailed        | work   | run   | 4   | -  | yes
fails-then-finally-times-out   | Failed   | TaskFailed        | work   | run   | 4   | -  | yes
fails-then-cancelled           | Failed   | TaskFailed        | work   | run   | 4   | -  | yes
cancelled                      | Cancelled| Cancelled         | work   | run   | -   | -  | yes
cancelled-gracefully           | Cancelled| Cancelled         | work   | run   | -   | -  | yes
cancelled-and-finally-fails    | Cancelled| Cancelled         | work   | run   | -   | -  | yes
stopped                        | Cancelled| Cancelled         | -      | -     | -   | -  | yes
cancelled-before-anything-ran  | Cancelled| Cancelled         | work   | -     | -   | -  | no
custom-run                     | Timeout  | DeadlineExceeded  | approve| -     | -   | -  | yes
node-unreachable               | Timeout  | DeadlineExceeded  | work   | run   | -   | -  | yes
node-removed                   | Failed   | Unknown           | work   | run   | -   | -  | yes
"""


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


def table() -> dict[str, Expected]:
    """The expected records by case."""
    _, *rows = TABLE.strip().splitlines()
    return dict(_row(line) for line in rows)


def of(record: Record) -> Expected:
    """What a record has of what is expected."""
    details = record.details
    if details is None:
        return Expected(record.outcome)
    return Expected(
        outcome=record.outcome,
        reason=details.reason,
        task=details.failed_task_name,
        step=details.failed_step_name,
        exit_code=details.exit_code,
        signal=details.signal,
        ran=details.was_execution_failure,
    )


def _row(line: str) -> tuple[str, Expected]:
    name, outcome, *cells = (cell.strip() for cell in line.split("|"))
    reason, task, step, code, signal, ran = (None if cell == "-" else cell for cell in cells)
    return name, Expected(
        outcome=Outcome(outcome),
        reason=FailureReason(reason) if reason else None,
        task=task or "",
        step=step,
        exit_code=int(code) if code else None,
        signal=int(signal) if signal else None,
        ran=ran == "yes" if ran else None,
    )
