"""The Dockerfile and what reaches it: a build is a matter of minutes, this of milliseconds."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.stack import imagebuild

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = imagebuild.ROOT


def copied() -> list[str]:
    """What the Dockerfile takes from the tree."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    found = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    return [it for sources in found if not sources[0].startswith("--from") for it in sources]


def patterns() -> Iterator[tuple[re.Pattern[str], bool]]:
    """Each line of .dockerignore, with whether it takes back what a former one left out."""
    for line in (ROOT / ".dockerignore").read_text("utf-8").split():
        text = re.escape(line.removeprefix("!"))
        text = text.replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        yield re.compile(f"{text}(?:/.*)?"), line.startswith("!")


def is_sent(path: str) -> bool:
    """Whether a builder gets the file: the last pattern for it, or a folder above it, decides."""
    matching = [back for pattern, back in patterns() if pattern.fullmatch(path)]
    return not matching or matching[-1]


@pytest.mark.parametrize("source", copied())
def test_whatever_the_image_is_made_of_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert is_sent(source)


def test_dependencies_and_program_are_copied() -> None:
    assert {"requirements/tracing.txt", "workflowexecution"} <= set(copied())


@pytest.mark.parametrize(
    "path",
    [".venv/bin/python", ".git/config", "tests/conftest.py", "requirements/dev.txt",
     "workflowexecution/api/__pycache__/names.pyc"],
)  # fmt: skip
def test_nothing_else_reaches_the_builder(path: str) -> None:
    assert not is_sent(path)


def test_builder_gets_no_lock_that_the_image_does_not_need() -> None:
    locks = [f"requirements/{path.name}" for path in (ROOT / "requirements").iterdir()]
    assert {it for it in locks if is_sent(it)} == {it for it in copied() if it in locks}


def test_tools_of_the_examples_are_for_the_machine_that_they_are_built_for() -> None:
    """A default would take the place of what the builder knows."""
    text = (ROOT / "examples" / "tools" / "Dockerfile").read_text("utf-8")
    assert re.findall(r"^ARG TARGETARCH.*", text, re.MULTILINE) == ["ARG TARGETARCH"]
    assert "/linux/${TARGETARCH}/kubectl" in text


def test_make_passes_on_what_the_image_is_built_from_and_runs_on() -> None:
    given = ("BASE_IMAGE=with-pip", "RUNTIME_IMAGE=without-a-shell")
    done = subprocess.run(
        ["make", "--dry-run", "image", "ENGINE=docker", "VERSION=1", *given],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    for it in given:
        assert f"--build-arg {it} " in done.stdout
    assert "docker build --tag" in done.stdout
