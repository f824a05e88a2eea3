"""What is kept of the machine and the program beside each figure."""

import subprocess
from pathlib import Path

import pytest

from tests.benchmark import machine

_WHO = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *_WHO, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a program and a benchmark."""
    git(tmp_path, "init", "--quiet")
    for name in ("workflowexecution", "benchmarks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=Begin")
    return tmp_path


def test_commit_is_told(checkout: Path) -> None:
    assert machine.commit(checkout) == git(checkout, "rev-parse", "--short=12", "HEAD")


def test_program_that_was_changed_since_is_told_of(checkout: Path) -> None:
    (checkout / "workflowexecution" / "file").write_text("two")
    assert machine.commit(checkout).endswith(" with changes")


def test_results_that_were_kept_since_are_no_change(checkout: Path) -> None:
    (checkout / "benchmarks" / "result").write_text("{}")
    assert not machine.commit(checkout).endswith(" with changes")


def test_commit_is_unknown_where_there_is_none(tmp_path: Path) -> None:
    assert machine.commit(tmp_path) == "unknown"
