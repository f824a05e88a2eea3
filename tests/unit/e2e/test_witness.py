"""What the witness of an execution and its pods must not take for an execution without pods."""

from __future__ import annotations

import contextlib
import datetime
from typing import TYPE_CHECKING

import pytest

from tests.e2e import witness

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime.datetime.now(datetime.UTC)
ENDED_AT = 10
MARK = "mark"


def phase(version: int, said: str) -> witness.Event:
    """The execution has a phase."""
    made = {
        "metadata": {"name": "e", "resourceVersion": str(version)},
        "status": {"phase": said},
    }
    return witness.Event("MODIFIED", made, NOW)


def pod(version: int, said: str, *, task: str = "apply", type: str = "MODIFIED") -> witness.Event:  # noqa: A002 - as the event has it
    """The pod of a task has a phase."""
    labels = {"tekton.dev/pipelineTask": task}
    metadata = {"name": f"run-{task}-pod", "resourceVersion": str(version), "labels": labels}
    return witness.Event(type, {"metadata": metadata, "status": {"phase": said}}, NOW)


def told(*late: witness.Event, mark_at: int | None = ENDED_AT + 10) -> witness.Witness:
    """A witness of an execution that has ended; of pods it hears when the mark is made.

    Args:
        *late: what the watch of the pods tells then.
        mark_at: the version of the mark; without one the watch does not tell of it.
    """

    @contextlib.contextmanager
    def mark() -> Iterator[str]:
        made.pods.extend(late)
        if mark_at is not None:
            metadata = {"name": MARK, "resourceVersion": str(mark_at), "labels": {}}
            event = {"metadata": metadata, "status": {"phase": "Pending"}}
            made.pods.append(witness.Event("ADDED", event, NOW))
        yield MARK

    made = witness.Witness(mark, wait_s=0.1)
    made.executions.extend([phase(1, "Running"), phase(ENDED_AT, "Failed")])
    return made


ADDED, WORKS = pod(3, "Pending", type="ADDED"), pod(4, "Running")
GONE = pod(8, "Running", type="DELETED")
ONE = frozenset({"apply"})


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([], witness.Pods(frozenset(), {})),
        ([ADDED, WORKS, pod(8, "Failed")], witness.Pods(ONE, {})),
        ([ADDED, WORKS, GONE], witness.Pods(ONE, {})),
        ([ADDED, WORKS], witness.Pods(ONE, {"apply": "Running"})),
        ([ADDED, WORKS, pod(ENDED_AT + 1, "Failed")], witness.Pods(ONE, {"apply": "Running"})),
        ([pod(ENDED_AT + 1, "Pending", type="ADDED")], witness.Pods(frozenset(), {})),
        # Nobody saw it work, so nobody saw it end.
        ([pod(8, "Failed", type="ADDED")], witness.Pods(frozenset(), {})),
        (
            [ADDED, pod(8, "Succeeded"), pod(9, "Running", task="report")],
            witness.Pods(frozenset({"apply", "report"}), {"report": "Running"}),
        ),
    ],
    ids=["none", "over", "gone", "works", "over later", "later", "over from the first", "two"],
)
def test_pods_are_as_they_were_at_the_moment_however_late_it_is_heard(
    events: list[witness.Event], found: witness.Pods
) -> None:
    assert told(*events).pods_when(witness.ended) == found


@pytest.mark.parametrize("mark_at", [None, ENDED_AT - 1], ids=["deaf", "behind"])
def test_watch_of_pods_that_has_not_got_past_the_moment_is_told(mark_at: int | None) -> None:
    with pytest.raises(AssertionError, match="never heard of"):
        told(mark_at=mark_at).pods_when(witness.ended)


def test_watch_of_the_execution_that_begins_after_the_moment_is_told() -> None:
    made = told()
    del made.executions[0]
    with pytest.raises(AssertionError, match="began after the moment"):
        made.pods_when(witness.ended)


def test_execution_that_never_ends_is_told() -> None:
    made = told()
    del made.executions[1]
    with pytest.raises(AssertionError, match="Running"):
        made.pods_when(witness.ended)
