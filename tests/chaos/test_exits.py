"""What a process says before it ends tells whether it had lost the lease."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import structlog

from tests.chaos.checks import exits
from workflowexecution import logs
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from pathlib import Path

LEADING = json.dumps({"event": "Leading", "lease": "chaos-runs/chaos"})
WATCHDOG = "Timeout (0:00:02.500000)!\nThread 0x00007f (most recent call first):\n"


def failure(error: Exception, capsys: pytest.CaptureFixture[str]) -> str:
    """The line of the program for a service that failed, by the program's own means."""
    logs.configure(level="info", form="json", identity="vm-1")
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - whatever it is
        structlog.get_logger("x").error("Service failed", error=str(caught), exc_info=caught)
    finally:
        structlog.reset_defaults()
    return capsys.readouterr().err


@pytest.fixture
def lost(capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a lost lease."""
    return failure(errors.LeaseLost("the lease was not renewed in time"), capsys)


@pytest.fixture
def failed(capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of anything else."""
    return failure(ValueError("LeaseLost, or something of that kind"), capsys)


def end(tmp_path: Path, code: int, text: str) -> exits.End:
    log = tmp_path / "replica-0-0.log"
    log.write_text(text)
    return exits.End(code, log)


def told(ends: list[exits.End], *, killed: int = 0, stopped: bool = False) -> list[str]:
    return list(exits.wrong(ends, killed=killed, stopped=stopped))


class TestExits:
    def test_life_that_says_it_has_lost_the_lease_is_well(self, tmp_path: Path, lost: str) -> None:
        assert told([end(tmp_path, 1, f"{LEADING}\n{lost}")]) == []

    def test_life_that_its_watchdog_ended_is_well(self, tmp_path: Path) -> None:
        assert told([end(tmp_path, 1, f"{LEADING}\n{WATCHDOG}")]) == []

    def test_failure_of_another_kind_is_told(self, tmp_path: Path, failed: str) -> None:
        (problem,) = told([end(tmp_path, 1, f"{LEADING}\n{failed}")])
        assert "ended with 1: replica-0-0.log" in problem

    def test_failure_beside_the_loss_is_told(self, tmp_path: Path, lost: str, failed: str) -> None:
        assert len(told([end(tmp_path, 1, lost + failed)])) == 1

    @pytest.mark.parametrize("text", ["", LEADING, "Traceback (most recent call last):\nOSError"])
    def test_silent_end_is_told(self, tmp_path: Path, text: str) -> None:
        assert len(told([end(tmp_path, 1, text)])) == 1

    @pytest.mark.parametrize(("text", "problems"), [(LEADING, 0), ("{}", 1)])
    def test_alarm_of_the_kernel_is_for_leaders(
        self, tmp_path: Path, text: str, problems: int
    ) -> None:
        assert len(told([end(tmp_path, -14, text)])) == problems

    def test_more_deaths_than_were_dealt_are_told(self, tmp_path: Path) -> None:
        deaths = [end(tmp_path, -9, "")] * 2
        assert told(deaths, killed=2) == []
        assert len(told(deaths, killed=1)) == 1

    def test_good_end_of_one_that_nobody_stopped_is_told(self, tmp_path: Path) -> None:
        assert told([end(tmp_path, 0, "")], stopped=True) == []
        assert len(told([end(tmp_path, 0, "")])) == 1

    def test_one_that_is_told_to_stop_before_it_listens_ends_by_the_signal(
        self, tmp_path: Path
    ) -> None:
        assert told([end(tmp_path, -15, "")], stopped=True) == []
        assert len(told([end(tmp_path, -15, "")])) == 1
        assert len(told([end(tmp_path, -15, LEADING)], stopped=True)) == 1

    @pytest.mark.parametrize("code", [2, 70, 97, -6])
    def test_other_codes_are_told(self, tmp_path: Path, code: int, lost: str) -> None:
        assert len(told([end(tmp_path, code, lost)])) == 1

    def test_words_of_the_watchdog_are_as_the_interpreter_writes_them(self, tmp_path: Path) -> None:
        blocked = (
            "import faulthandler, time;"
            "faulthandler.dump_traceback_later(0.01, exit=True); time.sleep(60)"
        )
        made = subprocess.run(
            [sys.executable, "-c", blocked], stderr=subprocess.PIPE, text=True, check=False
        )
        assert exits.has_lost(end(tmp_path, made.returncode, made.stderr))
        assert list(exits.troubles(made.stderr)) == []


class TestTroubles:
    def test_traceback_is_told(self, failed: str) -> None:
        bare = 'Traceback (most recent call last):\n  File "x"\nValueError: no\n'
        reconcile = failed.replace("Service failed", "Reconcile failed")
        for text in (failed, bare, reconcile):
            assert len(list(exits.troubles(text))) == 1

    def test_traceback_of_a_lost_lease_belongs_there(self, lost: str) -> None:
        assert "Traceback" in lost
        assert list(exits.troubles(lost)) == []

    @pytest.mark.parametrize("text", ["Task exception was never retrieved", "Unclosed connector"])
    def test_what_was_left_open_is_told(self, text: str) -> None:
        assert len(list(exits.troubles(text))) == 1
