"""Audit events, and somebody who hears what becomes of them."""

from __future__ import annotations

from typing import Any

from tests import builders
from workflowexecution.domain import auditevent
from workflowexecution.domain.audit import Transition


def event(name: str = "one", *, taken: bool = True, **spec: Any) -> auditevent.Event:  # noqa: ANN401 - members of the spec
    """The record of an execution's creation."""
    style = auditevent.Style(dialect="december" if taken else "current")
    return auditevent.build(builders.execution(name, spec=spec), Transition.CREATED, style)


class Listener:
    """Keeps what it hears, as lines."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def recorded(self, event: auditevent.Event) -> None:
        self.heard.append(f"recorded {name_of(event)}")

    def refused(self, event: auditevent.Event, why: str) -> None:
        self.heard.append(f"refused {name_of(event)}: {why}")

    def shed(self, event: auditevent.Event) -> None:
        self.heard.append(f"shed {name_of(event)}")

    def room(self) -> None:
        self.heard.append("room")


def name_of(event: auditevent.Event) -> str:
    """Name of the execution."""
    return str(event.document["event_data"]["execution_name"])
