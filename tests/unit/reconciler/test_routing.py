"""Which change wakes which execution."""

import asyncio
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.adapters import tekton
from workflowexecution.api import names
from workflowexecution.reconciler import routing, view
from workflowexecution.runtime import queue, resource, store
from workflowexecution.runtime.queue import Priority

SOON = (routing.PROGRESS_DELAY_S, Priority.LOW)


class RecordingQueue(queue.WorkQueue):
    """Hands out nothing, and keeps what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, float, Priority]] = []
        self.served = True

    def drop(self, key: resource.ObjectKey) -> bool:
        return not self.served and super().drop(key)

    def add(self, key: resource.ObjectKey, priority: Priority = Priority.NORMAL) -> None:
        self.asked.append((key.name, 0.0, priority))

    def add_after(
        self, key: resource.ObjectKey, delay_s: float, priority: Priority = Priority.NORMAL
    ) -> None:
        self.asked.append((key.name, delay_s, priority))


class Routes:
    """A router over a cache of executions."""

    def __init__(self, *executions: view.Execution) -> None:
        self.cache = store.StoreWriter[view.Execution](view.indexes())
        for execution in executions:
            self.cache.apply(execution)
        self.queue = RecordingQueue()
        self.forgotten: list[view.Execution] = []
        self.acknowledged: list[str] = []
        self.done: set[str] = set()
        self.router = routing.Router(
            executions=self.cache,
            queue=self.queue,
            forget=self.forgotten.append,
            acknowledged=self.acknowledged.append,
            run_is_done=self.done.__contains__,
        )

    @property
    def asked(self) -> list[tuple[float, Priority]]:
        """Delay and priority of each, all for the one execution of the test."""
        assert {name for name, _, _ in self.queue.asked} <= {"restart-payment"}
        return [(delay, priority) for _, delay, priority in self.queue.asked]


def execution(phase: str = "", **metadata: Any) -> view.Execution:  # noqa: ANN401 - members of the metadata
    raw = builders.raw_execution(metadata=metadata, status={"phase": phase})
    return view.projection("", "")(raw)


def run(condition: tuple[str, str, str] | None = None) -> tekton.Run:
    return tekton.project_run(builders.raw_run(condition=condition))


PENDING, RUNNING, ENDED = execution("Pending"), execution("Running"), execution("Completed")
OTHERS = execution(labels={names.LABEL_INSTANCE: "blue"})
DELETED = {"deletionTimestamp": builders.stamp()}
NOW_HIGH, NOW, NOW_LOW = ((0.0, it) for it in (Priority.HIGH, Priority.NORMAL, Priority.LOW))


@pytest.mark.parametrize(
    ("old", "new", "asked"),
    [
        pytest.param(None, PENDING, [NOW_HIGH], id="arrival"),
        pytest.param(None, RUNNING, [NOW], id="arrival-of-a-running-one"),
        pytest.param(None, ENDED, [NOW_LOW], id="arrival-of-an-ended-one"),
        pytest.param(RUNNING, RUNNING, [NOW_LOW], id="resync"),
        pytest.param(RUNNING, execution("Running"), [], id="own-status-write"),
        pytest.param(PENDING, RUNNING, [], id="own-start"),
        pytest.param(PENDING, execution("Running", generation=2), [NOW], id="start-and-spec"),
        pytest.param(PENDING, execution("Running", **DELETED), [NOW], id="start-and-delete"),
        pytest.param(RUNNING, ENDED, [NOW_LOW], id="own-end"),
        pytest.param(PENDING, execution("Pending", generation=2), [NOW_HIGH], id="spec-of-a-start"),
        pytest.param(RUNNING, execution("Running", generation=2), [NOW], id="spec"),
        pytest.param(RUNNING, execution("Running", **DELETED), [NOW], id="deletion"),
        pytest.param(OTHERS, PENDING, [NOW_HIGH], id="handed-over"),
        pytest.param(PENDING, OTHERS, [], id="handed-away"),
        pytest.param(RUNNING, None, [NOW_LOW], id="gone"),
        pytest.param(None, None, [], id="nothing"),
    ],
)
async def test_an_execution_is_woken_by_what_others_change(
    old: view.Execution | None, new: view.Execution | None, asked: list[tuple[float, Priority]]
) -> None:
    routes = Routes()
    routes.router.execution_changed(store.Delta(old, new))
    await asyncio.sleep(0)
    assert routes.asked == asked


def ended(*audited: str, phase: str = "Completed", **parts: Any) -> view.Execution:  # noqa: ANN401 - as raw_execution
    """One that was started and has ended, with these of its transitions acknowledged."""
    said = {"phase": phase, "startTime": builders.stamp(), "auditedTransitions": [*audited]}
    status = said | parts.pop("status", {})
    return view.projection("", "")(builders.raw_execution(status=status, **parts))


ALL = ("created", "started", "completed")
AWAITED, COMPLETE = ended(*ALL[:2]), ended(*ALL)
CLEARED = ended(*ALL, status={"blockClearance": {"clearedAt": builders.stamp()}})


@pytest.mark.parametrize(
    ("old", "new", "is_done", "asked"),
    [
        pytest.param(AWAITED, COMPLETE, True, [], id="the-last-one"),
        pytest.param(AWAITED, COMPLETE, False, [NOW_LOW], id="no-run-is-kept"),
        pytest.param(ended(), AWAITED, True, [NOW_LOW], id="one-of-several"),
        pytest.param(COMPLETE, COMPLETE, True, [NOW_LOW], id="resync"),
        pytest.param(COMPLETE, ended(*ALL), True, [NOW_LOW], id="another-change"),
        pytest.param(COMPLETE, AWAITED, True, [NOW_LOW], id="taken-back"),
        pytest.param(AWAITED, CLEARED, True, [NOW_LOW], id="cleared-as-well"),
        pytest.param(None, COMPLETE, True, [NOW_LOW], id="arrival"),
        pytest.param(RUNNING, COMPLETE, True, [NOW_LOW], id="ended-as-well"),
    ],
)
async def test_an_acknowledgement_wakes_nobody_whose_run_is_kept(
    old: view.Execution | None,
    new: view.Execution,
    is_done: bool,
    asked: list[tuple[float, Priority]],
) -> None:
    routes = Routes()
    routes.done.update([new.uid] if is_done else [])
    routes.router.execution_changed(store.Delta(old, new))
    await asyncio.sleep(0)
    assert (routes.asked, routes.acknowledged) == (asked, [] if asked else [new.uid])


async def test_an_execution_that_is_gone_is_forgotten() -> None:
    routes = Routes()
    routes.router.execution_changed(store.Delta(RUNNING, None))
    await asyncio.sleep(0)
    assert [(it.key, it.uid) for it in routes.forgotten] == [(fakes.KEY, fakes.UID)]


async def test_an_execution_that_is_gone_is_asked_for_by_nobody_where_nobody_works() -> None:
    routes = Routes()
    routes.queue.served = False
    routes.router.execution_changed(store.Delta(RUNNING, None))
    await asyncio.sleep(0)
    assert (routes.asked, routes.forgotten) == ([], [RUNNING])


async def test_an_end_is_less_urgent_than_a_start_where_nobody_works() -> None:
    routes, waiting = Routes(), queue.WorkQueue()
    router = routing.Router(
        executions=routes.cache, queue=waiting, forget=lambda key: None,
        acknowledged=lambda uid: None, run_is_done=bool,
    )  # fmt: skip
    for old, new in ((None, PENDING), (PENDING, RUNNING), (RUNNING, ENDED), (None, named("new"))):
        router.execution_changed(store.Delta(old, new))
    assert [(await waiting.get()).name for _ in range(2)] == ["new", "restart-payment"]


DONE = ("True", "Succeeded", "")


def named(name: str, phase: str = "Pending", **parts: Any) -> view.Execution:  # noqa: ANN401 - as raw_execution
    status = {"phase": phase} | parts.pop("status", {})
    return view.projection("", "")(builders.raw_execution(name, status=status, **parts))


def born(after_s: float) -> dict[str, Any]:
    return {"metadata": {"creationTimestamp": builders.stamp(after_s)}}


OLDEST, YOUNGER = named("oldest", **born(0)), named("younger", **born(1))
WAKES_NEXT = ("oldest", 0.0, Priority.NORMAL)
CANCEL = {"cancel": {"requestedBy": "ann", "reason": "no"}}
FAILING = {"conditions": [{"type": "TektonPipelineCreated", "status": "False"}]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(named("it"), named("it", "Running"), id="started"),
        pytest.param(named("it"), named("it", "Skipped"), id="skipped"),
        pytest.param(named("it", "Running"), named("it", "Completed"), id="ended"),
        pytest.param(named("it", "Failed"), None, id="deleted"),
        pytest.param(named("it"), named("it", spec=CANCEL), id="cancelled"),
        pytest.param(named("it"), named("it", metadata=DELETED), id="being-deleted"),
        pytest.param(named("it"), named("it", status=FAILING), id="failing"),
    ],
)
async def test_one_that_leaves_the_line_or_the_target_wakes_the_oldest_that_waits(
    old: view.Execution, new: view.Execution | None
) -> None:
    routes = Routes(YOUNGER, OLDEST)
    routes.router.execution_changed(store.Delta(old, new))
    await asyncio.sleep(0)
    assert [it for it in routes.queue.asked if it[0] != "it"] == [WAKES_NEXT]


async def test_of_many_that_leave_at_once_the_line_is_gone_through_once() -> None:
    routes = Routes(YOUNGER, OLDEST)
    for name in "abc":
        routes.router.execution_changed(store.Delta(named(name), named(name, "Skipped")))
    await asyncio.sleep(0)
    assert [it for it in routes.queue.asked if it[0] not in set("abc")] == [WAKES_NEXT]
    routes.router.run_changed(store.Delta(run(DONE), None))
    await asyncio.sleep(0)
    assert routes.queue.asked[-1] == WAKES_NEXT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(None, named("it"), id="arrival"),
        pytest.param(named("it", "Running"), named("it", "Running"), id="progress"),
        pytest.param(named("it"), named("it"), id="resync"),
        pytest.param(named("it", status=FAILING), named("it", spec=CANCEL, status=FAILING),
                     id="was-not-in-the-line"),
    ],
)  # fmt: skip
async def test_one_that_stays_wakes_no_other(
    old: view.Execution | None, new: view.Execution
) -> None:
    routes = Routes(OLDEST)
    routes.router.execution_changed(store.Delta(old, new))
    await asyncio.sleep(0)
    assert [it for it in routes.queue.asked if it[0] == "oldest"] == []


async def test_one_that_leaves_another_target_wakes_nobody() -> None:
    elsewhere = {"targetResource": "node/a"}
    routes = Routes(OLDEST)
    left = store.Delta(named("it", spec=elsewhere), None)
    routes.router.execution_changed(left)
    await asyncio.sleep(0)
    assert [it for it in routes.queue.asked if it[0] == "oldest"] == []


async def test_a_run_that_is_gone_wakes_the_oldest_that_waits_for_its_name() -> None:
    """The name stayed taken until the pods of the run were gone."""
    routes = Routes(YOUNGER, OLDEST)
    routes.router.run_changed(store.Delta(run(DONE), None))
    await asyncio.sleep(0)
    assert routes.queue.asked == [WAKES_NEXT]


async def test_one_that_can_start_is_woken_before_an_older_one_that_cannot() -> None:
    stuck = named("stuck", status=FAILING, **born(-1))
    routes = Routes(stuck, YOUNGER, OLDEST)
    routes.router.run_changed(store.Delta(run(DONE), None))
    await asyncio.sleep(0)
    assert routes.queue.asked == [WAKES_NEXT]
    routes = Routes(stuck)
    routes.router.run_changed(store.Delta(run(DONE), None))
    await asyncio.sleep(0)
    assert routes.queue.asked == [("stuck", 0.0, Priority.NORMAL)]


def test_a_cancellation_goes_before_everything() -> None:
    routes = Routes()
    cancelled = named("restart-payment", "Running", spec=CANCEL, metadata={"generation": 2})
    routes.router.execution_changed(store.Delta(RUNNING, cancelled))
    routes.router.execution_changed(store.Delta(cancelled, cancelled))
    assert routes.asked == [(0.0, Priority.URGENT), NOW_LOW]


def test_a_clearance_wakes_its_execution() -> None:
    given = {"blockClearance": {"clearedBy": "ann"}}
    routes = Routes()
    routes.router.execution_changed(
        store.Delta(
            named("restart-payment", "Failed"), named("restart-payment", "Failed", status=given)
        )
    )
    assert routes.asked == [NOW_LOW]


@pytest.mark.parametrize(
    ("old", "new", "asked"),
    [
        pytest.param(None, run(), [SOON], id="arrival"),
        pytest.param(None, run(DONE), [NOW], id="arrival-of-an-ended-one"),
        pytest.param(run(), run(), [SOON], id="progress"),
        pytest.param(run(), run(DONE), [NOW], id="end"),
        pytest.param(run(), None, [NOW], id="gone"),
        pytest.param(None, None, [], id="nothing"),
    ],
)
async def test_a_run_wakes_its_execution(
    old: tekton.Run | None, new: tekton.Run | None, asked: list[tuple[float, Priority]]
) -> None:
    routes = Routes(RUNNING)
    routes.router.run_changed(store.Delta(old, new))
    await asyncio.sleep(0)
    assert routes.asked == asked


def test_progress_of_a_run_wakes_no_execution_that_has_ended() -> None:
    routes = Routes(ENDED)
    routes.router.run_changed(store.Delta(run(), run()))
    assert routes.asked == []
    routes.router.run_changed(store.Delta(run(), run(DONE)))
    assert routes.asked == [NOW]


def test_a_run_that_begins_after_the_end_of_its_execution_wakes_it_at_once() -> None:
    routes = Routes(ENDED)
    routes.router.run_changed(store.Delta(None, run()))
    assert routes.asked == [NOW]


def test_a_run_of_nobody_wakes_nobody() -> None:
    routes = Routes(RUNNING)
    stranger = tekton.project_run(builders.raw_run(owner="other"))
    routes.router.run_changed(store.Delta(None, stranger))
    assert routes.asked == []


def test_a_task_wakes_its_execution_soon() -> None:
    routes = Routes(RUNNING)
    task = tekton.project_task(builders.raw_task("restart"))
    routes.router.task_changed(store.Delta(None, task))
    routes.router.task_changed(store.Delta(task, None))
    nothing: store.Delta[tekton.Task] = store.Delta(None, None)
    routes.router.task_changed(nothing)
    assert routes.asked == [SOON, SOON]


def test_a_task_wakes_its_execution_at_once_when_the_run_is_over() -> None:
    routes = Routes(RUNNING)
    routes.done.add(RUNNING.uid)
    task = tekton.project_task(builders.raw_task("restart"))
    routes.router.task_changed(store.Delta(None, task))
    assert routes.asked == [NOW]


@pytest.mark.parametrize(
    ("one", "woken"),
    [
        pytest.param(PENDING, True, id="pending"),
        pytest.param(RUNNING, True, id="running"),
        pytest.param(execution("Failed", finalizers=[names.FINALIZER]), True, id="ended-and-held"),
        pytest.param(ENDED, False, id="ended"),
        pytest.param(OTHERS, False, id="of-another-instance"),
    ],
)
def test_a_change_of_the_engine_wakes_who_waits_for_it(one: view.Execution, woken: bool) -> None:
    routes = Routes(one)
    routes.router.engine_changed()
    assert routes.asked == ([(0.0, Priority.NORMAL)] if woken else [])
