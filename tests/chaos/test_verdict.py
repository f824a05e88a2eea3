"""What controllers leave behind as processes is judged once, and in its own round."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.chaos import verdict
from tests.chaos.checks import exits
from tests.chaos.plan import Mishap
from tests.chaos.replicas import Replica

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.round import Round

TROUBLE = "Unclosed connector\n"


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    """One with a log of its present life."""
    made = Replica(0, tmp_path, tmp_path / "kubeconfig", {})
    log(made).touch()
    made._logs[log(made)] = 0
    return made


def log(replica: Replica) -> Path:
    return replica.folder / "replica-0-0.log"


def say(replica: Replica, text: str) -> None:
    with log(replica).open("a") as stream:
        stream.write(text)


def played(*replicas: Replica, **more: Any) -> Round:  # noqa: ANN401 - of any kind
    """A round that is over."""
    stage = SimpleNamespace(replicas=replicas, retired=more.pop("retired", []))
    made = {"stage": stage, "fired": False, "mishaps": (), "lost": 0, **more}
    return cast("Round", SimpleNamespace(**made))


def test_trouble_is_told_once(replica: Replica) -> None:
    say(replica, TROUBLE)
    assert len(list(replica.troubles())) == 1
    assert list(replica.troubles()) == []
    say(replica, "well\n")
    assert list(replica.troubles()) == []


def test_line_that_is_being_written_is_told_when_it_is_whole(replica: Replica) -> None:
    say(replica, TROUBLE[:5])
    assert list(replica.troubles()) == []
    say(replica, TROUBLE[5:])
    assert len(list(replica.troubles())) == 1


def test_replica_with_former_settings_is_looked_at_once_more(replica: Replica) -> None:
    say(replica, TROUBLE)
    former = played(retired=[replica])
    assert len(verdict.of_processes(former)) == 1
    assert verdict.of_processes(former) == []


def test_ends_are_judged_once(replica: Replica) -> None:
    replica.ends.append(exits.End(1, log(replica)))
    ended = played(replica)
    assert len(verdict.of_processes(ended)) == 1
    assert verdict.of_processes(ended) == []


def test_lost_leases_are_counted(replica: Replica) -> None:
    say(replica, "Timeout (0:00:02)!\n")
    replica.ends.append(exits.End(1, log(replica)))
    ended = played(replica)
    assert verdict.of_processes(ended) == []
    assert ended.lost == 1


@pytest.mark.parametrize(
    ("code", "mishap", "fired"), [(-9, "P1", False), (-9, "F1", True), (0, "P5", False)]
)
def test_who_was_made_to_end_is_no_problem(
    replica: Replica, code: int, mishap: str, fired: bool
) -> None:
    for mishaps, dealt, problems in (((), False, 1), ((Mishap(mishap, 0.0, 0.0),), fired, 0)):
        replica.ends.append(exits.End(code, log(replica)))
        found = verdict.of_processes(played(replica, mishaps=mishaps, fired=dealt))
        assert len(found) == problems
