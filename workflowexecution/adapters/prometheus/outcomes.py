"""What became of executions: counted once the server has taken a status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.api.status import Outcome, Phase, SkipReason, Status
from workflowexecution.domain import events

if TYPE_CHECKING:
    from workflowexecution import ports
    from workflowexecution.adapters.prometheus import book

DURATION_BUCKETS_S = tuple(5.0 * 2**power for power in range(10))
"""5 s to 2,560 s: the longest that is common, half an hour, lies inside."""

MAX_WORKFLOW_IDS = 200
OTHER = "other"

_OUTCOMES = (Outcome.SUCCESS, Outcome.FAILED, Outcome.TIMEOUT, Outcome.CANCELLED)
_BLOCKED = frozenset({SkipReason.EXHAUSTED_RETRIES, SkipReason.PREVIOUS_EXECUTION_FAILED})


class Outcomes:
    """The `Observer` that counts ends, starts, refusals and clearances.

    What it counts is scraped at 0 first: in most installations each failure is the first of its
    kind, and a replica that takes over has many ends to tell within its first second.

    The label `workflow_id` has at most 200 values for as long as the process lives, the first ones
    that were seen; what comes after them is counted as `other`, so that nobody can fill the memory
    of controller and Prometheus by inventing names.
    """

    def __init__(self, families: book.Book) -> None:
        """Count in this book."""
        self._total = families.counter(
            "workflowexecution_total",
            "Executions that ended, by outcome; skipped ones are in workflowexecution_skip_total",
            "outcome",
            "workflow_id",
            from_zero=True,
        )
        self._duration = families.histogram(
            "workflowexecution_duration_seconds",
            "From the start of the run to its end; executions that never started are left out",
            "outcome",
            "workflow_id",
            buckets=DURATION_BUCKETS_S,
            from_zero=True,
        )
        self._created = families.counter(
            "workflowexecution_pipelinerun_creation_total",
            "PipelineRuns created, or adopted after an answer was lost",
            from_zero=True,
        ).series()
        skipped = families.counter(
            "workflowexecution_skip_total",
            "Executions skipped, by what stood in the way",
            "reason",
            from_zero=True,
        )
        self._skipped = {reason: skipped.series(reason.value) for reason in SkipReason}
        blocked = families.counter(
            "workflowexecution_backoff_skip_total",
            "Executions skipped because their target needs a person",
            "reason",
            from_zero=True,
        )
        self._blocked = {reason: blocked.series(reason.value) for reason in sorted(_BLOCKED)}
        self._cleared = families.counter(
            "workflowexecution_clearances_consumed_total",
            "Clearances that took an execution out of its target's history",
            from_zero=True,
        ).series()
        self._known: set[str] = set()
        self._expected: set[str] = set()

    def expect(self, workflow_id: str) -> None:
        """Show the outcomes of a workflow, of which an execution has come up, before one ends.

        So they have been read at 0, by everyone who reads, when the first end is counted: in a
        replica that stands by too, which may be the one that counts it.
        """
        if workflow_id in self._expected:
            return
        workflow = self._capped(workflow_id)
        self._expected.add(workflow)
        for outcome in _OUTCOMES:
            self._total.series(outcome.value, workflow)
        self._duration.series(Outcome.SUCCESS.value, workflow)

    def wrote(self, change: ports.StatusWrite) -> None:
        """Count a change of phase, or a clearance that is taken up."""
        before = change.execution.status.phase or Phase.PENDING
        after = change.after
        if after.phase is None or after.phase == before:
            if events.is_cleared(change.execution.status, after):
                self._cleared.add()
            return
        match after.phase:
            case Phase.PENDING:
                return
            case Phase.RUNNING:
                self._created.add()
            case Phase.COMPLETED | Phase.FAILED:
                self._ended(after, change.execution.spec.workflow_ref.workflow_id)
            case Phase.SKIPPED:  # pragma: no branch - exhaustive
                self._stood_back(after)

    def _ended(self, after: Status, workflow_id: str) -> None:
        outcome = (after.outcome or Outcome.FAILED).value
        workflow = self._capped(workflow_id)
        self._total.series(outcome, workflow).add()
        if after.start_time is not None and after.completion_time is not None:
            lasted = (after.completion_time - after.start_time).total_seconds()
            self._duration.series(outcome, workflow).observe(max(0.0, lasted))

    def _stood_back(self, after: Status) -> None:
        if after.skip_details is None:
            return
        reason = after.skip_details.reason
        self._skipped[reason].add()
        if reason in self._blocked:
            self._blocked[reason].add()

    def _capped(self, workflow_id: str) -> str:
        if workflow_id in self._known:
            return workflow_id
        if len(self._known) >= MAX_WORKFLOW_IDS:
            return OTHER
        self._known.add(workflow_id)
        return workflow_id
