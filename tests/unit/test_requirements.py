from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import requirements

if TYPE_CHECKING:
    from pathlib import Path

CRITERIA = """
- document: A document
  requirements:
    - id: BR-1
      title: The first
      criteria:
        - It starts
        - text: It ends
          tests: [e2e]
          note: Sooner or later.
"""
MARKED = """
import pytest

requirement = pytest.mark.requirement

@requirement("BR-1", "It starts")
async def test_start() -> None: ...

class TestEnd:
    @pytest.mark.parametrize(
        "n", [pytest.param(1, marks=pytest.mark.requirement("BR-1", "It ends"))]
    )
    def test_end(self, n: int) -> None: ...
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A project whose unit tests prove both criteria."""
    folder = tmp_path / "tests" / "unit"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(MARKED)
    return tmp_path


def test_document_of_requirements_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    code = requirements.main(["--check"])
    assert (code, capsys.readouterr().err) == (0, "")


def test_criteria_are_told_apart_and_ask_for_known_kinds_of_tests() -> None:
    documents = requirements.load((requirements.ROOT / requirements.CRITERIA).read_text("utf-8"))
    all_of_them = [it for document in documents for it in document.requirements]
    ids = [it.id for it in all_of_them]
    assert sorted(set(ids)) == sorted(ids)
    for it in all_of_them:
        texts = [criterion.text for criterion in it.criteria]
        assert sorted(set(texts)) == sorted(texts)
        assert all(set(criterion.layers) <= set(requirements.LAYERS) for criterion in it.criteria)


def test_collect_finds_markers_by_any_name_on_functions_methods_and_parameters(suite: Path) -> None:
    found = [(it.layer, it.test, it.criterion) for it in requirements.collect(suite)]
    assert found == [
        ("unit", "test_start", "It starts"),
        ("unit", "TestEnd.test_end", "It ends"),
    ]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('@pytest.mark.requirement("BR-1")\ndef test_it(): ...', id="no criterion"),
        pytest.param(
            '@pytest.mark.requirement("BR-1", TEXT)\ndef test_it(): ...', id="not literal"
        ),
        pytest.param(
            '@pytest.mark.requirement("BR-1", "It starts")\nclass TestIt: ...', id="class"
        ),
    ],
)
def test_collect_refuses_a_marker_that_cannot_be_read(suite: Path, source: str) -> None:
    (suite / "tests" / "unit" / "test_odd.py").write_text(source)
    with pytest.raises(requirements.MarkerError, match=r"test_odd\.py:\d"):
        requirements.collect(suite)


@pytest.mark.parametrize(
    ("path", "marker", "said"),
    [
        ("unit", '"BR-2", "It starts"', "no requirement 'BR-2'; there are BR-1"),
        ("unit", '"BR-1", "It sings"', "BR-1 has no 'It sings'; it has ['It starts', 'It ends']"),
        ("stack", '"BR-1", "It starts"', "proved in tests/{unit,component,integration,e2e} only"),
    ],
)
def test_problems_names_the_marker_when_it_proves_nothing(
    tmp_path: Path, path: str, marker: str, said: str
) -> None:
    folder = tmp_path / "tests" / path
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(f"@pytest.mark.requirement({marker})\ndef test_it(): ...")
    (problem,) = requirements.problems(requirements.load(CRITERIA), requirements.collect(tmp_path))
    assert problem.startswith(f"tests/{path}/test_it.py:1: ")
    assert said in problem


def test_render_shows_proofs_and_what_is_open(suite: Path) -> None:
    text = requirements.render(requirements.load(CRITERIA), requirements.collect(suite))
    link = "(../tests/unit/test_it.py)"
    assert f"| It starts | [test_start]{link} | - | **open** | **open** |" in text
    assert f"| It ends | [TestEnd.test_end]{link} | - | - | **open** |" in text
    assert "*It ends*: Sooner or later." in text
    assert "| A document | 2 | 0 | 2 | 0 |" in text


def test_render_shows_everything_open_when_there_is_no_test() -> None:
    text = requirements.render(requirements.load(CRITERIA), [])
    assert "| A document | 2 | 0 | 0 | 2 |" in text
