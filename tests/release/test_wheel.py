"""The wheel: what is in it, what it calls itself, that it works where nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.stack import imagebuild

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE")


def run(*command: str, cwd: Path) -> str:
    """Run a command without the variables of this machine's Python."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def tree(folder: Path) -> Path:
    """The sources as they are unpacked from an archive."""
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "workflowexecution", folder / "workflowexecution", ignore=ignored)
    return folder


def wheel_of(folder: Path, into: Path) -> Path:
    """Build the wheel as the Makefile does."""
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", str(into), str(folder), cwd=folder,
    )  # fmt: skip
    (found,) = into.glob("*.whl")
    return found


def built(folder: Path) -> Path:
    """Wheels of what is published as sources alone.

    An index would have what pip builds them with, which is another thing for each version of pip.
    """
    sources = [str(path) for path in imagebuild.wheels().glob("*.tar.gz")]
    assert sources
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--no-index", "--wheel-dir", str(folder), *sources, cwd=ROOT,
    )  # fmt: skip
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    run("git", *who, *arguments, cwd=folder)


def committed(folder: Path) -> Path:
    git(tree(folder), "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    made.mkdir()
    return made


def test_version_is_that_of_the_tag(source: Path, tmp_path: Path) -> None:
    git(committed(source), "tag", "v1.2.3")
    assert wheel_of(source, tmp_path / "out").name.split("-")[1] == "1.2.3"


def test_tree_without_tags_is_on_its_way_to_a_release(source: Path, tmp_path: Path) -> None:
    assert ".dev" in wheel_of(committed(source), tmp_path / "out").name.split("-")[1]


def test_tree_without_git_can_be_built(source: Path, tmp_path: Path) -> None:
    assert wheel_of(tree(source), tmp_path / "out").name.split("-")[1] == "0.0.0"


def test_wheel_works_in_an_empty_environment(source: Path, tmp_path: Path) -> None:
    git(committed(source), "tag", "v1.2.3")
    wheel = wheel_of(source, tmp_path / "out")
    names = zipfile.ZipFile(wheel).namelist()
    assert "workflowexecution/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.partition("/")[0] for name in names} == {
        "workflowexecution", "workflowexecution-1.2.3.dist-info",
    }  # fmt: skip
    there = tmp_path / "empty"
    run(sys.executable, "-m", "venv", str(there), cwd=tmp_path)
    found = [f"--find-links={it}" for it in (imagebuild.wheels(), built(tmp_path / "built"))]
    pip = str(there / "bin/pip")
    run(pip, "install", "--quiet", "--no-index", *found, str(wheel), cwd=tmp_path)
    program = str(there / "bin/workflowexecution")
    assert run(program, "--version", cwd=tmp_path).strip() == "1.2.3"
    assert "uninstall" in run(program, "--help", cwd=tmp_path)
