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
from workflowexecution.api.status import FailureReason, Outcome

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

# Tekton races with itself here: two ends were recorded. Nobody waits in this one for the second pod
# of the other, which may not come. That pod may also come before the run has failed for the first
# one, and then waits for a node until the run's time is over.
RACE = case.load()["node-removed-for-good"]
IN_TIME = expected.Expected(
    Outcome.TIMEOUT, FailureReason.DEADLINE_EXCEEDED, task="work", step="run", ran=True
)
ENDS = [*(expected.table("")[name] for name, it in case.load().items() if it.race), IN_TIME]
CASES = {
    tekton: [*(it for it in case.load(tekton).values() if not it.race), RACE]
    for tekton in reading.VERSIONS
}
EVERY = [(tekton, it.name) for tekton, cases in CASES.items() for it in cases]
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def tekton(request: pytest.FixtureRequest) -> str:
    """A version of Tekton."""
    version: str = request.param
    return version


@pytest.fixture(scope="module")
def recorded(tekton: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, JsonObject]:
    """All cases of a version, run now; several at once, so not one for each test."""
    given = os.environ.get("WFE_TEST_RESUME")
    folder = (Path(given) if given else tmp_path_factory.mktemp("golden")) / f"golden-{tekton}"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [it for it in CASES[tekton] if not (folder / f"{it.name}.json").exists()]
    if missing:
        with recorder.cluster_of_its_own(tekton=tekton) as there:
            recorder.store(recorder.record(there, missing), folder)
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.mark.parametrize(("tekton", "name"), EVERY, indirect=["tekton"])
def test_case_still_comes_to_the_expected_record(
    tekton: str, recorded: dict[str, JsonObject], name: str
) -> None:
    assert name in recorded, "it did not come about; the log says why"
    ends = ENDS if name == RACE.name else [expected.table(tekton)[name]]
    assert expected.of(reading.classify(recorded[name])) in ends
