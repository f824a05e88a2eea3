"""Random walks through the life of targets, against the plain model of the rules.

A hypothesis state machine drives them: between two steps of it the loop does not run, so virtual
time stands still, and what hypothesis shrinks to is a list of steps that can be read.

The walks are the same each time. `WFE_TEST_WALKS` is their number, `WFE_TEST_SEED` gives others.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import hypothesis
import looptime
import pytest
import structlog
from hypothesis import stateful
from hypothesis import strategies as st

from tests.component import rules_objects
from tests.component.walk import LONG_QUIET_S, TARGETS, WORKFLOWS, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.component.rules_objects import Execution, Run

WALKS = int(os.environ.get("WFE_TEST_WALKS", "30"))
SEED = os.environ.get("WFE_TEST_SEED", "")
STEPS = 50
PHASES = (
    hypothesis.Phase.generate,
    *([hypothesis.Phase.shrink] if "WFE_TEST_SHRINK" in os.environ else []),
)
Step = Coroutine[None, None, None]

_target = st.integers(0, len(TARGETS) - 1)
_asked = st.tuples(_target, st.integers(0, 2), st.integers(0, len(WORKFLOWS) - 1))
# Of ten steps one happens while the program is down, for so many seconds.
_down = st.sampled_from((None,) * 18 + (5.0, 310.0))
_spans = st.sampled_from((20.0, 70.0, 130.0, 320.0, 640.0))


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of step, which is possible when there is something to do it to."""

    weight: int
    there: Callable[[SafetyMachine], Sequence[Any]]
    take: Callable[[SafetyMachine, Any, st.DataObject], Coroutine[None, None, None]]


class SafetyMachine(stateful.RuleBasedStateMachine):
    """Chooses the steps."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = looptime.patch_event_loop(asyncio.SelectorEventLoop(), start=0, noop_cycles=2)
        self._folder = tempfile.TemporaryDirectory()
        self.walk = Walk(pathlib.Path(self._folder.name))
        self._story: list[str] = []
        self._do(self.walk.begin())

    def teardown(self) -> None:
        """End the walk, also one that has failed."""
        try:
            self._do(self.walk.end())
        finally:
            self._do(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._folder.cleanup()

    def _do(self, step: Coroutine[None, None, None]) -> None:
        self._loop.run_until_complete(step)

    # What there is to choose from.

    def going(self, *, begun: bool | None = None) -> list[Run]:
        """Runs of which Tekton has not said the end."""
        runs = self.walk.rules.runs()
        left = [run for run in runs if run.end is None and run.removed_at is None]
        return [run for run in left if begun is None or run.begun == begun]

    def owned(self) -> list[Run]:
        """Runs whose execution is there; a copy of another's is nobody's, and found later."""
        return [run for run in self.walk.rules.runs() if not run.owner.gone]

    def told(self) -> list[Run]:
        """Those of them that are to end."""
        return [run for run in self.going() if run.asked_at is not None]

    def lingering(self) -> list[Run]:
        """Runs of which a pod works, though they have ended or are going."""
        made = [it.run for it in self.walk.rules.executions if it.run is not None]
        return [
            run
            for run in made
            if run.works and (run.end is not None or not run.exists or run.removed_at is not None)
        ]

    def removable(self) -> list[Run]:
        """Who deletes a run whose pod outlives its execution takes away its lock."""
        owners = [it for it in self.walk.rules.alive() if it.run is not None and it.run.exists]
        lasting = [it for it in owners if it.phase != rules_objects.COMPLETED]
        safe = [it for it in owners if it.run and not (it.run.works and it.run.stubborn)]
        return [it.run for it in owners if it in lasting or it in safe if it.run is not None]

    def given_up(self) -> list[Run]:
        """Runs that are told to end, and that somebody else may lose patience with."""
        return [run for run in self.removable() if run.asked_at is not None]

    def stoppable(self) -> list[Execution]:
        """Executions that nobody has cancelled."""
        there = self.walk.rules.alive()
        return [it for it in there if not it.cancelled and it.phase != rules_objects.SKIPPED]

    def clearable(self) -> list[Execution]:
        """Executions that mean something to those after them."""
        there = self.walk.rules.alive()
        ended = {rules_objects.COMPLETED, rules_objects.FAILED}
        return [it for it in there if it.phase in ended and not it.cleared]

    def blocking(self) -> list[Execution]:
        """Executions that a person must look at."""
        return [it for it in self.clearable() if it.harmed]

    def suspended(self) -> Sequence[None]:
        """Whether nothing starts."""
        return _ALWAYS if self.walk.rules.suspended else ()

    def deletable(self) -> list[Execution]:
        """Executions that nobody has deleted."""
        return [it for it in self.walk.rules.alive() if it.deleted_at is None]

    @stateful.rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """Choose among the steps that are possible, and of what they can be done to the latest."""
        possible = {name: kind.there(self) for name, kind in KINDS.items()}
        names = [name for name in KINDS if possible[name] for _ in range(KINDS[name].weight)]
        name = data.draw(st.sampled_from(names), label="step")
        if name in SLOW:
            # What is to happen soon happens first.
            self._do(self.walk.calm(LONG_QUIET_S))
        there = KINDS[name].there(self)
        if not there:
            return
        what = there[-1 - data.draw(st.integers(0, len(there) - 1), label="which")]
        # One alone while the program is down: of two nobody could tell the order.
        down = data.draw(_down, label="down") if name not in WAKEFUL else None
        step = KINDS[name].take(self, what, data)
        self._story.append(f"{name}: {getattr(what, 'name', what)}, down {down}")
        try:
            self._do(step if down is None else self.walk.while_down(step, down))
        except BaseException as error:
            error.add_note("\n".join(self._story))
            raise
        finally:
            step.close()


def _ask(machine: SafetyMachine, _: object, data: st.DataObject) -> Step:
    return machine.walk.ask([data.draw(_asked)], faulty=data.draw(st.integers(0, 9)) == 9)


def _ask_for_several(machine: SafetyMachine, _: object, data: st.DataObject) -> Step:
    """Of one target, in one moment."""
    target = data.draw(_target)
    given = data.draw(st.lists(_asked, min_size=2, max_size=3))
    return machine.walk.ask([(target, spelling, workflow) for _, spelling, workflow in given])


def _fail_in_a_row(machine: SafetyMachine, _: object, data: st.DataObject) -> Step:
    return machine.walk.fail_in_a_row(data.draw(_asked), data.draw(st.integers(1, 6)))


def _ends(end: rules_objects.End) -> Callable[[SafetyMachine, Run, st.DataObject], Step]:
    def take(machine: SafetyMachine, run: Run, data: st.DataObject) -> Step:
        return machine.walk.ends(run, end, lingers=data.draw(st.booleans(), label="lingers"))

    return take


def _copies(machine: SafetyMachine, run: Run, data: st.DataObject) -> Step:
    asked = st.tuples(st.integers(0, 2), st.integers(0, len(WORKFLOWS) - 1))
    return machine.walk.copies(run, data.draw(asked, label="asked"))


def _begins(machine: SafetyMachine, run: Run, data: st.DataObject) -> Step:
    worked, stubborn = data.draw(st.booleans(), label="works"), data.draw(st.booleans(), label="on")
    return machine.walk.begins(run, worked=worked, stubborn=stubborn)


_ALWAYS = (None,)
# A step of a kind, by its weight: enough happens to all that is asked for, and not too often.
KINDS = {
    "ask": _Kind(5, lambda _: _ALWAYS, _ask),
    "ask for several": _Kind(2, lambda _: _ALWAYS, _ask_for_several),
    "fail in a row": _Kind(1, lambda _: _ALWAYS, _fail_in_a_row),
    "run begins": _Kind(6, lambda it: it.going(begun=False), _begins),
    "run succeeds": _Kind(3, lambda it: it.going(), _ends(rules_objects.End.SUCCEEDED)),
    "run fails": _Kind(3, lambda it: it.going(), _ends(rules_objects.End.FAILED)),
    "run obeys": _Kind(3, lambda it: it.told(), _ends(rules_objects.End.CANCELLED)),
    "run is copied": _Kind(2, lambda it: it.owned(), _copies),
    "pod ends": _Kind(4, lambda it: it.lingering(), lambda it, run, _: it.walk.pod_ends(run)),
    "run is deleted": _Kind(2, lambda it: it.removable(), lambda it, run, _: it.walk.vanishes(run)),
    "told run is deleted": _Kind(
        3, lambda it: it.given_up(), lambda it, run, _: it.walk.vanishes(run)
    ),
    "cancel": _Kind(2, lambda it: it.stoppable(), lambda it, one, _: it.walk.cancels(one)),
    "clear": _Kind(2, lambda it: it.clearable(), lambda it, one, _: it.walk.clears(one)),
    "clear what blocks": _Kind(3, lambda it: it.blocking(), lambda it, one, _: it.walk.clears(one)),
    "delete": _Kind(1, lambda it: it.deletable(), lambda it, one, _: it.walk.deletes(one)),
    "restart": _Kind(1, lambda _: (False, True), lambda it, how, _: it.walk.restart(suspended=how)),
    "resume": _Kind(
        5, lambda it: it.suspended(), lambda it, _, __: it.walk.restart(suspended=False)
    ),
    "time passes": _Kind(
        2, lambda _: _ALWAYS, lambda it, _, data: it.walk.passes(data.draw(_spans))
    ),
    "what is due happens": _Kind(
        2, lambda _: _ALWAYS, lambda it, _, __: it.walk.passes_to_what_is_due()
    ),
}
SLOW = {"pod ends", "run is deleted", "told run is deleted", "delete"}
WAKEFUL = {"fail in a row", "restart", "resume"}


@pytest.fixture
def _silence() -> Iterator[None]:
    """Thousands of lines that nobody reads take longer than all else."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


# Every line that it comes by has a test of its own, and to count lines takes twice the time.
@pytest.mark.no_cover
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_silence")
def test_program_does_what_the_rules_say_when_anything_happens() -> None:
    machine = SafetyMachine if not SEED else hypothesis.seed(int(SEED))(SafetyMachine)
    settings = hypothesis.settings(
        max_examples=WALKS,
        stateful_step_count=STEPS,
        derandomize=not SEED,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=PHASES,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    stateful.run_state_machine_as_test(machine, settings=settings)
