"""The site builds, strictly, and asks nobody for anything when it is read."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.support import site

# What a page makes a browser fetch by itself; links that somebody clicks are another thing.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]+"""
    r"""|<link\b[^>]*\bhref=["']?(?:https?:)?//[^>]+"""
)


@pytest.fixture(scope="module")
def pages() -> list[str]:
    """The text of every page."""
    site.lay_out(site.BUILD / "pages")
    site.build()
    return [path.read_text("utf-8") for path in (site.BUILD / "html").rglob("*.html")]


@pytest.mark.timeout(120)
def test_site_is_built_without_a_warning_and_fetches_nothing(pages: list[str]) -> None:
    assert len(pages) > 60
    assert [found for text in pages for found in FETCHED.findall(text)] == []


def test_every_document_for_users_is_in_the_navigation() -> None:
    text = re.sub(r"!!python/name:\S+", "null", site.CONFIG.read_text("utf-8"))
    listed = re.findall(r"[\w./-]+\.md", yaml.safe_dump(yaml.safe_load(text)["nav"]))
    written = {f"docs/{path.name}" for path in (site.ROOT / "docs").glob("*.md")}
    assert written - set(listed) == set()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [("WB001 parameter-in-script", "wb001-parameter-in-script"), ("A `b`, c?", "a-b-c")],
)
def test_anchor_is_the_one_of_the_repository(heading: str, anchor: str) -> None:
    assert site.slug(heading, "-") == anchor
