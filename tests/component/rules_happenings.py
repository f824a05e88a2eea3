"""What happens to executions and runs, whatever the program does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.component.rules_objects import Run

if TYPE_CHECKING:
    from tests.component.rules_objects import End, Execution


class Happenings:
    """The executions and runs that there are. What is told happens `now`."""

    def __init__(self) -> None:
        """Begin with a program that is up, and nothing to do."""
        self.now = 0.0
        self.asleep = False
        """The program is down: things happen, and it decides nothing."""
        self.suspended = False
        self.executions: list[Execution] = []
        self.copies: list[Run] = []
        """Runs that somebody has made of others, and that have not ended."""

    def asked(self, execution: Execution) -> None:
        """Somebody creates an execution."""
        self.executions.append(execution)

    def begins(self, run: Run, *, worked: bool, stubborn: bool) -> None:
        """Tekton makes a task, and its pod is there: it pulls its image, or works."""
        run.begun, run.worked, run.works, run.stubborn = True, worked, True, stubborn

    def ends(self, run: Run, end: End, *, lingers: bool) -> None:
        """Tekton says the end; the pod ends with it, or lingers."""
        run.end, run.ended_at, run.works = end, self.now, run.works and lingers

    def copied(self, run: Run) -> Run:
        """Somebody copies a run, whose labels say that it is the same execution's."""
        self.copies.append(Run(run.owner, self.now))
        return self.copies[-1]

    def copy_goes(self, copy: Run) -> None:
        """Tekton ends a copy, and somebody clears it away."""
        self.copies.remove(copy)

    def pod_ends(self, run: Run) -> None:
        """The last pod ends, and lets a deleted run go."""
        run.works = False
        if run.exists and run.removed_at is not None:
            run.exists = False
            if self.asleep:
                self._forget(run)

    def vanishes(self, run: Run) -> None:
        """Somebody deletes the run, and nobody waits for its pods."""
        run.exists, run.works = False, run.works and run.stubborn
        if self.asleep:
            self._forget(run)

    def cancels(self, execution: Execution) -> None:
        """Somebody asks that the execution ends."""
        execution.cancelled = True

    def clears(self, execution: Execution) -> None:
        """Somebody has looked at the target: the execution is taken out of its history."""
        execution.cleared_at = self.now

    def deletes(self, execution: Execution) -> None:
        """Somebody deletes the execution; it stays while it has, or may have, a run."""
        run = execution.run
        if run is not None and (run.exists or not execution.is_over):
            execution.deleted_at = self.now
        else:
            execution.gone = True

    def falls_asleep(self) -> None:
        """The program goes down, and forgets what it alone has seen: the end of runs now gone."""
        self.asleep = True
        for it in self.alive():
            if it.run is not None and not (it.run.exists or it.is_over):
                self._forget(it.run)

    def _forget(self, run: Run) -> None:
        """Who did not see it go knows of its end what was written down: not when it was."""
        run.dated = False
        if not run.noted:
            run.end = None

    def alive(self) -> list[Execution]:
        """The executions that are there, the older first."""
        there = (each for each in self.executions if not each.gone)
        return sorted(there, key=lambda each: (int(each.asked_at), each.uid))

    def runs(self) -> list[Run]:
        """The runs that are there."""
        made = (each.run for each in self.executions if each.run is not None)
        return [run for run in made if run.exists]
