"""Every golden file, read as the program reads the API server, comes to the expected record."""

from __future__ import annotations

import datetime

import pytest

from tests.golden import case, expected, normal, reading, world
from workflowexecution.api import tekton as api_tekton
from workflowexecution.api import workflowexecution as api
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import failure, progress, summary

CASES = list(case.load(reading.VERSIONS[0]))
EVERY = [(tekton, name) for tekton in reading.VERSIONS for name in case.load(tekton)]
FAILED = [name for name, it in expected.table().items() if it.reason]


@pytest.mark.parametrize("tekton", reading.VERSIONS)
def test_each_case_has_its_golden_file_and_its_expected_record(tekton: str) -> None:
    assert set(reading.names(tekton)) == set(case.load(tekton)) == set(expected.table(tekton))


def test_no_case_is_expected_twice() -> None:
    _, *rows = expected.TABLE.strip().splitlines()
    assert len(rows) == len({
        name for version in reading.VERSIONS for name in expected.table(version)
    })


@pytest.mark.requirement("WE-R5", "Build FailureDetails from TaskRun errors for recovery context")
@pytest.mark.requirement("WE-PRACTICE", "Extract rich failure details from TaskRun for recovery")
@pytest.mark.requirement("BR-WF-003", "Outcome reflects success/failure accurately")
@pytest.mark.parametrize(("tekton", "name"), EVERY)
def test_record_is_what_really_happened(tekton: str, name: str) -> None:
    assert expected.of(reading.classify(reading.load(name, tekton))) == expected.table(tekton)[name]


@pytest.mark.parametrize(("tekton", "name"), EVERY)
def test_golden_file_is_as_the_recorder_writes_it(tekton: str, name: str) -> None:
    document = reading.load(name, tekton)
    text = reading.path_of(name, tekton).read_text()
    assert normal.write(document) == text
    machine = normal.Machine("-none-", "-none-", "-none-", "-none-")
    again = normal.write(normal.normalise(document, machine))
    assert again == text


@pytest.mark.parametrize("name", CASES)
def test_golden_run_is_the_one_that_the_program_builds(name: str) -> None:
    document = reading.load(name)
    run = document["pipelineRun"]
    if any("characters in all" in str(it["value"]) for it in run["spec"]["params"]):
        pytest.skip("its parameters are too long to be kept")
    built = world.build_run(document["workflowExecution"], "kubernaut-workflows")
    asked = {key: value for key, value in run["spec"].items() if key != "status"}
    assert asked == built["spec"]
    assert built["metadata"]["labels"].items() <= run["metadata"]["labels"].items()


@pytest.mark.parametrize("name", FAILED)
def test_summary_of_a_real_failure_is_complete_and_within_its_bound(name: str) -> None:
    details = reading.classify(reading.load(name)).details
    assert details is not None
    text = details.natural_language_summary
    assert len(text.encode()) <= summary.MAX_SUMMARY_BYTES
    assert f"The reason is {details.reason}." in text
    said = "may have been changed" if details.was_execution_failure else "nothing was changed"
    assert said in text
    assert text.endswith(".")
    assert ".." not in text


@pytest.mark.parametrize("name", FAILED)
def test_without_pods_no_failure_looks_more_harmless_than_its_taskruns_prove(name: str) -> None:
    document = {**reading.load(name), "pods": []}
    details = reading.classify(document).details
    assert details is not None
    containers = [
        it for task in document["taskRuns"] for it in task["status"].get("steps", ())
        if it.get("imageID")
    ]  # fmt: skip
    assert details.was_execution_failure or not containers


def test_nothing_ran_is_true_of_a_missing_bundle_and_false_after_the_first_task() -> None:
    assert failure.nothing_ran(reading.facts(reading.load("bundle-absent")))
    assert not failure.nothing_ran(reading.facts(reading.load("second-image-absent")))


def test_timeout_tells_what_the_task_was_last_seen_waiting_for() -> None:
    document = reading.load("quota-exceeded")
    known = reading.facts(document)
    waited = document["lastUnfinished"][0]
    assert waited["reason"] == "ExceededResourceQuota"
    facts = failure.Facts(known.run, known.children, waited_for=waited["message"])
    subject = summary.Subject("w", "t", None)
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    details = failure.classify_run(facts, subject, at)
    assert details.reason is FailureReason.DEADLINE_EXCEEDED
    assert "exceeded quota: none" in details.natural_language_summary


def test_pod_that_starts_after_its_run_has_failed_is_no_proof_that_nothing_ran() -> None:
    document = reading.load("configmap-comes-late")
    by_taskruns = reading.facts({**document, "pods": []})
    assert failure.nothing_ran(by_taskruns)
    assert not failure.nothing_ran(reading.facts(document))
    execution = api.parse_execution(document["workflowExecution"])
    run = api_tekton.project_pipelinerun(document["pipelineRun"], api_tekton.PipelineRun)
    assert run.owner_uid == execution.metadata.uid


@pytest.mark.parametrize(("tekton", "name"), EVERY)
def test_progress_of_a_real_run_counts_every_task_once(tekton: str, name: str) -> None:
    document = reading.load(name, tekton)
    known = reading.facts(document)
    run = known.run
    assert run is not None
    way = progress.map_progress(run, known.children, None, None)
    spec = document["pipelineRun"]["status"].get("pipelineSpec", {})
    declared = len(spec.get("tasks", ())) + len(spec.get("finally", ()))
    assert way.total == (declared or None)
    assert way.completed is not None
    if run.is_successful:
        assert way.completed == way.total
    elif way.total is not None:
        assert way.completed <= way.total
