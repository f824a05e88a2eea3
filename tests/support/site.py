"""Lays out and builds the site of the documents: `python -m tests.support.site`.

The pages lie as they do in the repository, so that a link leads to the same place in both. What
else they link to (a manifest, a Dockerfile) is put beside them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / ".site"
CONFIG: Final = ROOT / "mkdocs.yml"
_FOLDERS: Final = ("docs", "examples", "tests/stack", "benchmarks", "changes", "manifests")
_CODE: Final = re.compile(r"`[^`\n]*`")
_LINK: Final = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)#\s]+)[^)\s]*\)")


def slug(text: str, separator: str) -> str:
    """The anchor of a heading, as hosting sites of repositories make it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", separator)


def lay_out(target: Path) -> None:
    """Copy the pages, and what they link to, into a folder."""
    shutil.rmtree(target, ignore_errors=True)
    pages = [*ROOT.glob("*.md"), *(it for name in _FOLDERS for it in (ROOT / name).rglob("*.md"))]
    for page in pages:
        _copy(page, target)
        for link in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
            linked = (page.parent / link).resolve()
            if linked.is_file() and linked.suffix != ".md":
                _copy(linked, target)


def build() -> str:
    """Build the site; returns what mkdocs said.

    Raises:
        subprocess.CalledProcessError: a link leads nowhere, or a page of the navigation is missing.
    """
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(CONFIG)]
    # What the theme has to say of the next mkdocs is no news of ours.
    own = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stderr


def main() -> int:
    """Lay out and build."""
    lay_out(BUILD / "pages")
    try:
        build()
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.stderr)
        return 1
    sys.stdout.write(f"{BUILD / 'html' / 'index.html'}\n")
    return 0


def _copy(path: Path, target: Path) -> None:
    place = target / path.relative_to(ROOT)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)


if __name__ == "__main__":
    raise SystemExit(main())
