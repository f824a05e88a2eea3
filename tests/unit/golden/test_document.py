"""docs/failures.md is made from the golden files."""

from tests.golden import document


def test_the_document_is_current() -> None:
    assert document.DOCUMENT.read_text() == document.text(), "make docs"
