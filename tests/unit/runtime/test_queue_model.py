"""The queue against a simple model, driven by random operations in virtual time."""

import asyncio
from typing import Any

import hypothesis
import hypothesis.stateful as stateful
import hypothesis.strategies as st
import looptime

from tests.unit.runtime import objects
from workflowexecution.runtime import queue, resource

KEYS = [objects.key(name) for name in "abcde"]
some_key = st.sampled_from(KEYS)
some_priority = st.sampled_from(queue.Priority)


class QueueMachine(stateful.RuleBasedStateMachine):
    """What must hold: nothing is lost, nothing is doubled, nothing is handed out twice at once."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop()
        self.now = 0.0
        self.work = queue.WorkQueue()
        self.ready: set[resource.ObjectKey] = set()
        self.processing: set[resource.ObjectKey] = set()
        self.again: set[resource.ObjectKey] = set()
        self.delayed: dict[resource.ObjectKey, float] = {}
        self.handed_out = 0
        self.waiting_since: dict[resource.ObjectKey, int] = {}

    def call(self, method: str, *args: Any) -> Any:  # noqa: ANN401 - forwards to any method
        async def run() -> Any:  # noqa: ANN401 - forwards from any method
            return getattr(self.work, method)(*args)

        return self.loop.run_until_complete(run())

    def model_add(self, key: resource.ObjectKey) -> None:
        if key in self.processing:
            self.again.add(key)
        elif key not in self.ready:
            self.ready.add(key)
            self.waiting_since[key] = self.handed_out

    @stateful.rule(key=some_key, priority=some_priority)
    def add(self, key: resource.ObjectKey, priority: queue.Priority) -> None:
        self.call("add", key, priority)
        self.model_add(key)

    @stateful.rule(key=some_key, delay_s=st.integers(1, 20), priority=some_priority)
    def add_after(self, key: resource.ObjectKey, delay_s: int, priority: queue.Priority) -> None:
        self.call("add_after", key, delay_s, priority)
        self.delayed[key] = min(self.now + delay_s, self.delayed.get(key, float("inf")))

    @stateful.rule(key=some_key)
    def drop(self, key: resource.ObjectKey) -> None:
        assert self.call("drop", key) == (not self.handed_out)
        if not self.handed_out:
            self.ready.discard(key)
            self.delayed.pop(key, None)

    @stateful.rule(passed_s=st.integers(1, 10))
    def pass_time(self, passed_s: int) -> None:
        self.loop.run_until_complete(asyncio.sleep(passed_s))
        self.now += passed_s
        for key in [key for key, at in self.delayed.items() if at <= self.now]:
            del self.delayed[key]
            self.model_add(key)

    @stateful.precondition(lambda self: self.ready)
    @stateful.rule()
    def get(self) -> None:
        key = self.loop.run_until_complete(self.work.get())
        assert key in self.ready
        assert key not in self.processing
        self.ready.discard(key)
        self.processing.add(key)
        self.handed_out += 1
        assert self.handed_out - self.waiting_since[key] <= 9 * len(KEYS)

    @stateful.precondition(lambda self: self.processing)
    @stateful.rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing)))
        self.call("done", key)
        self.processing.discard(key)
        if key in self.again:
            self.again.discard(key)
            self.model_add(key)

    @stateful.invariant()
    def count_agrees(self) -> None:
        assert len(self.work) == len(self.ready) + len(self.again)

    def teardown(self) -> None:
        while self.ready:
            self.get()
        self.loop.close()


QueueMachine.TestCase.settings = hypothesis.settings(
    max_examples=40, stateful_step_count=40, deadline=None
)
TestQueueModel = QueueMachine.TestCase
