"""What the phases share: a status is written once, and told of once it stands."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.unit.reconciler import fakes
from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import status
from workflowexecution.reconciler import tools
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from workflowexecution import ports

NOTE = status.Note(ConditionType.SUSPENDED, ConditionStatus.TRUE, ConditionReason.SUSPENDED)


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[ports.StatusWrite] = []

    def wrote(self, change: ports.StatusWrite) -> None:
        self.heard.append(change)


class Heard:
    """A world with somebody listening."""

    def __init__(self) -> None:
        self.world = fakes.World()
        self.listener = Listener()
        self.tools = dataclasses.replace(self.world.tools, observers=(self.listener,))
        self.world.put()
        self.case = self.world.case()


async def test_observer_hears_of_a_status_that_stands() -> None:
    it = Heard()
    after = status.pending(it.case.status, it.case.moment, [NOTE])
    await tools.write(it.tools, it.case, after)
    (change,) = it.listener.heard
    assert (change.key, change.after, change.now) == (fakes.KEY, after, it.case.moment.now)
    assert change.execution.status == it.case.status


async def test_observer_hears_nothing_of_a_status_that_is_refused() -> None:
    it = Heard()
    it.world.writer.error = fakes.refusal(errors.Conflict)
    with pytest.raises(errors.Conflict):
        await tools.write(it.tools, it.case, status.pending(it.case.status, it.case.moment, [NOTE]))
    assert it.listener.heard == []


async def test_observer_hears_nothing_when_nothing_changed() -> None:
    it = Heard()
    await tools.write(it.tools, it.case, it.case.status)
    assert it.world.journal == []
    assert it.listener.heard == []
