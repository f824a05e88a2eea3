"""The rules of a safe target, said plainly: what `test_safety_model` holds the program to.

Read it as the specification. It shares nothing with the program. `Rules` is told what happens in
the world and says what has become of every execution, as soon as all is quiet again. Times are
seconds, targets are canonical.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.component.rules_happenings import Happenings
from tests.component.rules_objects import (
    COMPLETED,
    DELETED_S,
    FAILED,
    FORCED_S,
    PENDING,
    RUNNING,
    SKIPPED,
    End,
    Execution,
    Run,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COOLDOWN_S = 300.0
BACKOFF_S = (60.0, 120.0, 240.0, 480.0, 600.0)
MOST_FAILURES = 5
TIMEOUT_S = 86400.0
DEADLINE_GRACE_S = 120.0
RETENTION_S = 300.0
ORDERLY_S = 300.0
"""For a run to end in order."""
GIVE_UP_S = 600.0
"""For a deleted execution to wait for its run."""


class Rules(Happenings):
    """The rules: what the program does about what happens. `pass_to` lets time pass."""

    def pass_to(self, now: float) -> None:
        """Let time pass: what falls due in it happens in its order."""
        while not self.asleep:
            self.settle()
            due = min((at for at, _ in self.due() if self.now < at <= now), default=None)
            if due is None:
                break
            self.now = due
        self.now = now
        self.settle()

    def settle(self) -> None:
        """Let the program do all that it can do now.

        Who asks is answered by what stands there at that moment, and all are before one starts.
        """
        while not self.asleep:
            there = self.alive()
            waiting = [it for it in there if it.phase == PENDING]
            if not (
                any(map(self._answer, waiting))
                or any(map(self._tend, there))
                or any(map(self._start, waiting))
            ):
                break

    def due(self) -> Iterator[tuple[float, float]]:
        """When something changes though nothing happens, and how late that may be seen."""
        for each in self.alive():
            if each.locked_until is not None:
                yield each.locked_until, 0.0
            if each.next_at:
                yield each.next_at, 0.0
            if each.deleted_at is not None:
                yield each.deleted_at + GIVE_UP_S, 35.0
        for run in self.runs():
            if run.owner.is_over:
                yield run.owner.told_at + RETENTION_S, 5.0
            steps = (run.asked_at, ORDERLY_S), (run.forced_at, FORCED_S)
            yield from ((at + span, 5.0) for at, span in steps if at is not None)
            if run.works and run.end is not None:
                yield run.lingers_from + run.patience_s, 12.0
            if run.removed_at is not None:
                yield run.removed_at + DELETED_S, 35.0

    # What the program does. Each says whether it has changed anything.

    def _tend(self, it: Execution) -> bool:
        if it.deleted_at is not None:
            return self._let_go(it, it.deleted_at)
        if it.is_over:
            return self._keep(it)
        return it.run is not None and self._run_on(it, it.run)

    def _answer(self, it: Execution) -> bool:
        """Nothing is queued: who cannot start is told why."""
        if it.cancelled or it.faulty:
            return self._fail(it, harmed=False, cancelled=it.cancelled)
        return not self.suspended and (self._is_running(it) or self._is_forbidden(it))

    def _start(self, it: Execution) -> bool:
        """Of those who can the oldest starts."""
        if self.suspended or self._older_waits(it):
            return False
        if not self._is_held(it):
            it.phase, it.run = RUNNING, Run(it, self.now)
        return True

    def _older_waits(self, it: Execution) -> bool:
        """Of two that wait the older goes first."""
        waiting = (each for each in self.alive() if each.phase == PENDING and not each.cancelled)
        return next((each for each in waiting if each.target == it.target), it) is not it

    def _is_running(self, it: Execution) -> bool:
        """First: another execution runs on the target, or was deleted while it ran."""
        for other in self._others(it):
            ended = other.deleted_at is not None and other.ended_at >= other.deleted_at
            if other.run is not None and (other.phase == RUNNING or ended):
                return self._skip_for_run(it, other.run)
        return False

    def _is_forbidden(self, it: Execution) -> bool:
        """Then: what happened before, cleared executions left out."""
        past = [each for each in self._past(it) if not each.cleared]
        harmed = [each for each in past if each.harmed]
        if harmed:
            # A person must look at the target.
            return self._skip(it, "PreviousExecutionFailed", harmed[-1].name, None)
        tries = [each for each in past if each.counts or each.phase == COMPLETED]
        if tries and tries[-1].counts:
            last = tries[-1]
            if self._count(last) >= MOST_FAILURES:
                # A person must look at the cause.
                return self._skip(it, "ExhaustedRetries", last.name, None)
            if self.now < last.next_at:
                return self._skip(it, "RecentlyRemediated", last.name, last.next_at)
        done = [each for each in past if each.phase == COMPLETED and each.workflow == it.workflow]
        if done and self.now < done[-1].ended_at + COOLDOWN_S:
            until = done[-1].ended_at + COOLDOWN_S
            return self._skip(it, "RecentlyRemediated", done[-1].name, until)
        return False

    def _is_held(self, it: Execution) -> bool:
        """Last: the target's run is there, and lives, or a copy. One that does not makes room."""
        for copy in self.copies:
            if copy.owner.target == it.target:
                return self._skip_for_run(it, copy)
        for run in self.runs():
            if run.owner.target == it.target:
                if run.lives:
                    return self._skip_for_run(it, run)
                run.remove(self.now)
        return False

    def _run_on(self, it: Execution, run: Run) -> bool:
        """It ends as its run does, and a failure not before all of it has ended."""
        run.stuck = run.stuck or run.is_stuck(self.now)
        if run.end is End.SUCCEEDED:
            return self._complete(it, run)
        if run.lives and run.end is not None:
            return self._clear_away(run)
        if run.lives:
            return it.cancelled and run.exists and self._climb(run)
        # What is not there to be looked at has worked for all that anybody knows.
        harmed = run.worked or run.end is None or (run.begun and not run.exists)
        if run.noted and not run.exists:
            harmed = bool(it.harmed)
        stopped = run.end is None and run.asked_at is not None
        return self._fail(it, harmed=harmed, cancelled=stopped or run.end is End.CANCELLED)

    def _clear_away(self, run: Run) -> bool:
        """What lingers of a run that has failed is deleted after a while; why is written down."""
        if run.exists and not run.noted:
            # A pod that has not begun by then does not: its task is over.
            run.noted, run.lingers_from, run.owner.harmed = True, self.now, run.worked
        is_early = self.now < run.lingers_from + run.patience_s
        if not run.exists or run.removed_at is not None or is_early:
            return False
        run.remove(self.now)
        return True

    def _keep(self, it: Execution) -> bool:
        """A run that has ended is kept for people to look at, for a while."""
        run = it.run
        if run is None or not run.exists or run.removed_at is not None:
            return False
        if self.now < it.told_at + RETENTION_S:
            return False
        run.remove(self.now)
        return True

    def _let_go(self, it: Execution, deleted_at: float) -> bool:
        """A deleted execution goes when nothing of its run is left, or has been for too long."""
        run = it.run
        if not it.is_over:
            return self._end_deleted(it, deleted_at)
        if run is None or not (run.exists or run.works):
            it.gone = True
            return True
        is_late = self.now >= deleted_at + GIVE_UP_S
        if run.removed_at is not None or not run.exists:
            since = deleted_at if run.removed_at is None else run.removed_at + DELETED_S
            it.gone = is_late and self.now >= since
            return it.gone
        if is_late or run.end is not None:
            run.remove(self.now)
            return True
        return self._climb(run)

    def _end_deleted(self, it: Execution, deleted_at: float) -> bool:
        """It is cancelled, unless its run had ended before, or has succeeded since, unasked."""
        run = it.run
        known = run is not None and run.dated and run.end is not None
        if run is None or not known or not self._is_own_end(run, deleted_at):
            return self._fail(it, harmed=run is not None, cancelled=True)
        if run.end is End.SUCCEEDED:
            it.phase, it.outcome, it.ended_at = COMPLETED, "Success", run.ended_at
            it.failures = 0
            return True
        harmed = it.harmed is not False
        return self._fail(it, harmed=harmed, cancelled=run.end is End.CANCELLED)

    @staticmethod
    def _is_own_end(run: Run, deleted_at: float) -> bool:
        unasked = run.asked_at is None and run.removed_at is None
        before = int(run.ended_at) <= int(deleted_at)
        return before or (run.end is End.SUCCEEDED and unasked)

    def _climb(self, run: Run) -> bool:
        """In order where a task has begun; then not so; then by deleting it."""
        if run.removed_at is not None:
            return False
        if run.asked_at is None:
            run.asked_at = self.now
            run.forced_at = None if run.begun and run.end is None else self.now
        elif run.forced_at is None and self.now >= run.asked_at + ORDERLY_S:
            run.forced_at = self.now
        elif run.forced_at is not None and self.now >= run.forced_at + FORCED_S:
            if not run.owner.is_over:
                run.noted = run.owner.harmed = True
            run.remove(self.now)
        else:
            return False
        return True

    # How an execution ends.

    def _skip_for_run(self, it: Execution, run: Run) -> bool:
        """What does not end in time is told to, and deleted. After that nobody knows more."""
        until = max(run.made_at + TIMEOUT_S + DEADLINE_GRACE_S, self.now + FORCED_S + DELETED_S)
        known = None if run.stuck or run.is_stuck(self.now) else until
        return self._skip(it, "ResourceBusy", run.owner.name, known)

    def _skip(self, it: Execution, reason: str, other: str, until: float | None) -> bool:
        it.phase, it.outcome, it.ended_at = SKIPPED, SKIPPED, self.now
        it.reason, it.other, it.retry_at = reason, other, until
        return True

    def _complete(self, it: Execution, run: Run) -> bool:
        """It cools down for the same workflow, and ends a row of failures."""
        it.phase, it.outcome, it.ended_at = COMPLETED, "Success", run.ended_at
        it.told_at = self.now
        it.failures, it.locked_until = 0, it.ended_at + COOLDOWN_S
        return True

    def _fail(self, it: Execution, *, harmed: bool, cancelled: bool) -> bool:
        """It blocks, or backs off, or, without a run or cancelled in time, means nothing."""
        it.phase, it.outcome = FAILED, "Cancelled" if cancelled else FAILED
        it.harmed, it.told_at = harmed, self.now
        run = it.run
        said = run is not None and run.end is not None and run.dated and it.deleted_at is None
        it.ended_at = run.ended_at if run is not None and said else self.now
        it.counts = it.run is not None and it.deleted_at is None and not (harmed or cancelled)
        if it.counts:
            self._back_off(it)
        return True

    def _back_off(self, it: Execution) -> None:
        before = [each for each in self._past(it) if not each.cleared]
        tries = [each for each in before if each.counts or each.phase == COMPLETED]
        inherits = bool(tries) and tries[-1].counts
        it.failures = 1 + (self._count(tries[-1]) if inherits else 0)
        it.found = frozenset({tries[-1], *tries[-1].found}) if inherits else frozenset()
        it.next_at = it.ended_at + BACKOFF_S[min(it.failures, len(BACKOFF_S)) - 1]
        it.locked_until = it.next_at if it.failures < MOST_FAILURES else None

    def _count(self, last: Execution) -> int:
        """How many failures in a row the target has behind it, of which this is the last.

        It has written down how many there were. Who was cleared since counts no more, and where a
        completion between them was cleared, those before it count again.
        """
        since = [it for it in last.found if it.cleared_at > last.ended_at and not it.gone]
        written = (last.failures or 0) - len(since)
        return max(written, 1 + len(self._row(last)))

    def _row(self, last: Execution) -> list[Execution]:
        """The failures just before it that are there to be seen, and not cleared."""
        row: list[Execution] = []
        for each in self._past(last):
            if each.ended_at > last.ended_at:
                break
            if each.phase == COMPLETED and not each.cleared:
                row = []
            elif each.counts and not each.cleared:
                row.append(each)
        return row

    def _past(self, it: Execution) -> list[Execution]:
        """Those of the target that have ended, the latest last."""
        over = (each for each in self._others(it) if each.phase in {COMPLETED, FAILED})
        return sorted(over, key=lambda each: (int(each.ended_at), each.uid))

    def _others(self, it: Execution) -> Iterable[Execution]:
        there = self.alive()
        return [each for each in there if each.target == it.target and each is not it]
