"""Every recorded failure again, on the real cluster: what Tekton reports is still what we expect.

`WFE_TEST_RESUME` names a folder in which the recordings of an interrupted run are kept.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.golden import case, expected, reading, recorder

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, JsonObject]:
    """All cases, run now; several at once, so not one for each test."""
    given = os.environ.get("WFE_TEST_RESUME")
    folder = Path(given) / "golden" if given else tmp_path_factory.mktemp("golden")
    folder.mkdir(parents=True, exist_ok=True)
    missing = [it for it in case.load().values() if not (folder / f"{it.name}.json").exists()]
    if missing:
        with recorder.cluster_of_its_own() as there:
            recorder.store(recorder.record(there, missing), folder)
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.mark.parametrize("name", list(expected.table()))
def test_case_still_comes_to_the_expected_record(
    recorded: dict[str, JsonObject], name: str
) -> None:
    assert name in recorded, "it did not come about; the log says why"
    assert expected.of(reading.classify(recorded[name])) == expected.table()[name]
