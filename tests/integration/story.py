"""What the apiserver's audit log says of runs: who created what, and when it held its target.

A run holds its target from its create to the last of: Tekton's last word on it, the ends of its
pods, the last status of its execution. The log names objects, not their UIDs: of a name that was
used again, what lies between two creates is one life.
"""

from __future__ import annotations

import collections
import datetime
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fake import tekton
from tests.integration import audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.integration.audit import Request
    from tests.integration.world import JsonObject, World
    from tests.support.program import Program

Time = datetime.datetime

_SECOND = datetime.timedelta(seconds=1)
_RUN_NAME = len("wfe-") + 16
# Pending, Running, and how it ended.
_WORDS_OF_A_POD = 3
_CREATE_RUN, _CREATE_POD = "create pipelineruns", "create pods"
_DELETE_RUN = "delete pipelineruns"
CLAIM = "patch workflowexecutions"
_NEVER = Time.max.replace(tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Life:
    """One run.

    Attributes:
        by: User-Agent of its maker.
        begun: when the server got the create: nothing of the run is older.
        made: when it had done that.
        ended: when the server got the last that was said of it or of a pod of it; never while a
            pod lives.
        owner: the UID of its execution, where the log says it.
    """

    name: str
    by: str
    begun: Time
    made: Time
    ended: Time
    owner: str = ""


class Story:
    """The log, as far as it is about one world."""

    def __init__(self, requests: Iterable[Request], world: World) -> None:
        """Read what was done in this world's namespaces."""
        places = {world.namespace, world.runs}
        self._all = [it for it in requests if it.namespace in places]
        done = (it for it in self._all if it.code < 300)
        self._done = sorted(done, key=lambda it: it.at)
        of_runs = collections.defaultdict(list)
        for it in self._done:
            if it.namespace == world.runs and it.name:
                of_runs[it.name[:_RUN_NAME]].append(it)
        self.lives = {name: list(_lives(name, its)) for name, its in of_runs.items()}
        self._written: dict[str, Time] = {}
        # What a write says can be read from then on, be its own answer late.
        self._readable: dict[str, Time] = {}
        for it in self._done:
            if it.kind == "patch workflowexecutions/status":
                self._written[it.name], self._readable[it.name] = it.answered, it.at

    def overlaps(self) -> list[tuple[Life, Life]]:
        """Runs that held one target at the same time."""
        pairs = (pair for of in self.lives.values() for pair in itertools.pairwise(of))
        return [(one, next_one) for one, next_one in pairs if one.ended >= next_one.begun]

    def cut_short(self) -> list[Life]:
        """Runs that a controller deleted while something of them worked."""
        gone = [it for it in self._done if it.kind == _DELETE_RUN]
        return [
            life
            for of in self.lives.values()
            for life in of
            if any(it.name == life.name and life.begun < it.at < life.ended for it in gone)
        ]

    def created_by(self, program: Program) -> int:
        """How many runs a program created."""
        return sum(it.kind == _CREATE_RUN for it in audit.by(program, self._done))

    def tried_by(self, program: Program) -> int:
        """How often a program made for a start, the times included in which it was refused."""
        return sum(it.kind == CLAIM for it in audit.by(program, self._all))

    def foreign_writes(self, programs: Sequence[Program]) -> set[str]:
        """Who else than these programs created or deleted runs."""
        own = {it.agent for program in programs for it in audit.by(program, self._done)}
        verbs = {_CREATE_RUN, _DELETE_RUN}
        return {it.agent for it in self._done if it.kind in verbs} - own

    def untrue(self, executions: Mapping[str, JsonObject], cooldown_s: float) -> list[str]:
        """The skipped executions whose reason the log does not bear out, and why it does not."""
        found = []
        for name, execution in executions.items():
            if execution["status"]["phase"] == "Skipped":
                why = self._untruth(executions, execution, datetime.timedelta(seconds=cooldown_s))
                found += [f"{name}: {why}"] if why else []
        return found

    def _untruth(
        self,
        executions: Mapping[str, JsonObject],
        execution: JsonObject,
        cooldown: datetime.timedelta,
    ) -> str:
        details = execution["status"]["skipDetails"]
        named = details.get("conflictingWorkflow") or details["recentRemediation"]
        other = executions[named["name"]]
        if other["spec"]["targetResource"] != execution["spec"]["targetResource"]:
            return f"{named['name']} is on another target"
        said, written = _time(details["skippedAt"]), self._written[execution["metadata"]["name"]]
        other_ended, status = self._written[named["name"]], other["status"]
        life = self._life_of(status)
        true = False
        match details["reason"], status["phase"]:
            case "ResourceBusy", "Completed" | "Failed":
                true = life.begun <= written and max(life.ended, other_ended) >= said
            case "RecentlyRemediated", "Completed":
                at = _time(status["completionTime"])
                true = at <= written and said < at + cooldown
            case "PreviousExecutionFailed", "Failed":
                true = status["requiresManualReview"] and self._readable[named["name"]] <= written
            case _:
                pass
        if true:
            return ""
        return f"{details['reason']} from {said} to {written}, but {status['phase']} and {life}"

    def _life_of(self, status: JsonObject) -> Life:
        """The run of an execution, by its name and the second in which the server made it."""
        at = _time(status["startTime"])
        (life,) = (
            it
            for it in self.lives[status["pipelineRunRef"]["name"]]
            if it.begun - _SECOND < at <= it.made
        )
        return life


def _lives(name: str, requests: list[Request]) -> Iterator[Life]:
    """The lives of one name, one after the other."""
    starts = [it for it in requests if it.kind == _CREATE_RUN and it.name == name]
    for number, start in enumerate(starts, 1):
        until = starts[number].at if number < len(starts) else _NEVER
        words = [
            it.at
            for it in requests
            if it.kind == "patch pipelineruns/status" and start.at < it.at < until
        ]
        pods = [it for it in requests if it.kind == _CREATE_POD and start.at < it.at < until]
        ends = [_end_of_pod(pod, requests) for pod in pods]
        ended = max([start.at, *words, *ends])
        yield Life(name, start.agent, start.at, start.answered, ended, start.owner)


def _end_of_pod(pod: Request, requests: list[Request]) -> Time:
    """When a pod was said to have ended, or was deleted."""
    words = 0
    for it in requests:
        if it.name == pod.name and it.at > pod.at:
            words += it.kind == "patch pods/status" and it.agent == tekton.AGENT
            if words == _WORDS_OF_A_POD or it.kind == "delete pods":
                return it.at
    return _NEVER


def _time(text: str) -> Time:
    return Time.fromisoformat(text)
