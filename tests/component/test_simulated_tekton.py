"""The simulated Tekton tells what real Tekton was seen to tell."""

import asyncio
import datetime
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.component import world
from tests.fake import kinds, scenarios, statuses
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster
from tests.fake.paths import Match
from tests.fake.stage import Pace, Stage
from tests.fake.statuses import JsonObject
from tests.fake.tekton import AGENT, PARAMETER, playing

pytestmark = pytest.mark.looptime

NAMESPACE = "kubernaut-workflows"
RUNS, TASK_RUNS = kinds.PIPELINE_RUNS, kinds.TASK_RUNS
PACE = Pace(start_s=1.0, task_s=10.0, cancel_s=2.0, pod_s=3.0)


class Theatre:
    """A cluster with a simulated Tekton, and what was asked of it."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster

    def start(self, name: str = "r", *, scenario: str, timeout: str = "30m0s") -> JsonObject:
        digest = "a" * 64
        reference = {
            "resolver": "bundles",
            "params": [{"name": "bundle", "value": f"registry/flow@sha256:{digest}"}],
        }
        body = {
            "apiVersion": RUNS.api_version,
            "kind": RUNS.kind,
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {"kubernaut.ai/workflow-execution-uid": "u"},
                "annotations": {"kubernaut.ai/target-resource": "t"},
            },
            "spec": {
                "pipelineRef": reference,
                "params": [{"name": PARAMETER, "value": scenario}],
                "taskRunTemplate": {"serviceAccountName": "runner"},
                "timeouts": {"pipeline": timeout},
            },
        }
        return self.cluster.create(body)

    def cancel(self, status: str) -> None:
        self.cluster.patch(RUNS, NAMESPACE, "r", {"spec": {"status": status}})

    def status(self) -> JsonObject:
        run = self.cluster.get(RUNS, NAMESPACE, "r")
        found: JsonObject = (run or {}).get("status", {})
        return found

    def condition(self) -> tuple[str, str, str]:
        return _condition(self.status())

    def tasks(self) -> dict[str, tuple[str, str]]:
        """Status and reason of each TaskRun."""
        items = self.cluster.items(TASK_RUNS, NAMESPACE)
        return {each["metadata"]["name"]: _condition(each["status"])[:2] for each in items}

    def step(self, name: str) -> JsonObject:
        task_run = self.cluster.get(TASK_RUNS, NAMESPACE, name)
        assert task_run is not None
        step: JsonObject = task_run["status"]["steps"][0]
        return step


def _condition(status: JsonObject) -> tuple[str, str, str]:
    found = status["conditions"][0]
    return found["status"], found["reason"], found["message"]


@pytest_asyncio.fixture
async def theatre() -> AsyncIterator[Theatre]:
    async with (
        FakeCluster(now=world.virtual_now) as cluster,
        Api(Endpoint(cluster.url), agent=AGENT) as api,
    ):
        logs = cluster.reviews.logs
        stage = Stage(api, pace=PACE, now=world.virtual_now, pods=True, logs=logs)
        async with playing(stage, NAMESPACE):
            yield Theatre(cluster)


ENDS = [
    ("plain", "True", "Succeeded", "Tasks Completed: 0 (Failed: 0, Cancelled 0), Skipped: 0"),
    ("full", "True", "Succeeded", "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 0"),
    ("skipped", "True", "Completed", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 1"),
    ("exit-42", "False", "Failed", "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 0"),
    ("pod-refused", "False", "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0"),
    ("finally", "False", "Failed", "Tasks Completed: 3 (Failed: 1, Cancelled 0), Skipped: 0"),
]


@pytest.mark.parametrize(
    ("scenario", "status", "reason", "message"), [pytest.param(*end, id=end[0]) for end in ENDS]
)
async def test_run_ends_as_in_tekton_when_its_tasks_have_ended(
    theatre: Theatre, scenario: str, status: str, reason: str, message: str
) -> None:
    theatre.start(scenario=scenario)
    await asyncio.sleep(60)
    assert theatre.condition() == (status, reason, message)
    assert theatre.status()["completionTime"]


@pytest.mark.parametrize("scenario", ["bundle-missing", "parameter-missing"])
async def test_run_fails_without_children_when_it_is_refused(
    theatre: Theatre, scenario: str
) -> None:
    theatre.start(scenario=scenario)
    await asyncio.sleep(60)
    refusal = scenarios.NAMED[scenario].refusal
    assert refusal is not None
    status, reason, message = theatre.condition()
    assert (status, reason) == ("False", refusal.reason)
    assert f"{NAMESPACE}/r " in message or f"{NAMESPACE}/r:" in message
    assert theatre.status()["startTime"]
    assert "childReferences" not in theatre.status()
    assert theatre.tasks() == {}


async def test_plain_run_has_two_status_changes_when_played(theatre: Theatre) -> None:
    theatre.start(scenario="plain")
    await asyncio.sleep(60)
    changes = theatre.cluster.requests.matching(Match(verbs=("patch",), agent=AGENT))
    assert [each.call.resource for each in changes] == ["pipelineruns"] * 2


async def test_task_runs_have_four_status_changes_each_when_played(theatre: Theatre) -> None:
    theatre.start(scenario="full")
    await asyncio.sleep(60)
    for name in ("r-prepare", "r-apply"):
        match = Match(verbs=("patch",), resource="taskruns", name=name)
        assert theatre.cluster.requests.count(match) == 4


async def test_times_follow_the_pace_when_played(theatre: Theatre) -> None:
    run = theatre.start(scenario="full")
    await asyncio.sleep(60)
    stamps = [
        datetime.datetime.fromisoformat(text)
        for text in (
            run["metadata"]["creationTimestamp"],
            theatre.status()["startTime"],
            theatre.status()["completionTime"],
        )
    ]
    gaps = [(later - stamps[0]).total_seconds() for later in stamps[1:]]
    assert gaps == [1.0, 21.0]


async def test_run_names_its_pipeline_and_children_when_it_runs(theatre: Theatre) -> None:
    theatre.start(scenario="full")
    await asyncio.sleep(5)
    status = theatre.status()
    assert theatre.condition()[:2] == ("Unknown", "Running")
    assert [each["name"] for each in status["pipelineSpec"]["tasks"]] == ["prepare", "apply"]
    assert status["provenance"]["refSource"]["digest"] == {"sha256": "a" * 64}
    assert status["childReferences"] == [
        {
            "apiVersion": "tekton.dev/v1",
            "kind": "TaskRun",
            "name": "r-prepare",
            "pipelineTaskName": "prepare",
        }
    ]


async def test_task_run_carries_the_marks_of_its_run_when_created(theatre: Theatre) -> None:
    run = theatre.start(scenario="full")
    await asyncio.sleep(5)
    task_run = theatre.cluster.get(TASK_RUNS, NAMESPACE, "r-prepare")
    assert task_run is not None
    labels = task_run["metadata"]["labels"]
    assert labels["kubernaut.ai/workflow-execution-uid"] == "u"
    assert labels["tekton.dev/pipelineRun"] == "r"
    assert labels["tekton.dev/pipelineRunUID"] == run["metadata"]["uid"]
    assert labels["tekton.dev/pipelineTask"] == "prepare"
    assert task_run["metadata"]["annotations"] == {"kubernaut.ai/target-resource": "t"}
    assert task_run["metadata"]["ownerReferences"][0]["uid"] == run["metadata"]["uid"]
    assert task_run["spec"]["serviceAccountName"] == "runner"


@pytest.mark.parametrize(
    ("scenario", "reason", "code", "ran"),
    [
        pytest.param("exit-42", "Failed", 42, True, id="exit"),
        pytest.param("oom-killed", "Failed", 137, True, id="oom"),
        pytest.param("image-missing", "TaskRunImagePullFailed", 1, False, id="image"),
        pytest.param("config-missing", "CreateContainerConfigError", None, False, id="config"),
    ],
)
async def test_step_tells_how_it_ended_when_its_task_failed(
    theatre: Theatre, scenario: str, reason: str, code: int | None, ran: bool
) -> None:
    theatre.start(scenario=scenario)
    await asyncio.sleep(60)
    assert theatre.tasks() == {"r-prepare": ("True", "Succeeded"), "r-apply": ("False", reason)}
    step = theatre.step("r-apply")
    assert step.get("terminated", {}).get("exitCode") == code
    assert ("imageID" in step) == ran


async def test_run_times_out_when_a_task_hangs(theatre: Theatre) -> None:
    theatre.start(scenario="hangs", timeout="1m0s")
    await asyncio.sleep(61.5)
    message = 'PipelineRun "r" failed to finish within "1m0s"'
    assert theatre.condition() == ("False", "PipelineRunTimeout", message)
    assert theatre.tasks()["r-apply"] == ("Unknown", "Running")
    await asyncio.sleep(3)
    assert theatre.tasks()["r-apply"] == ("False", "TaskRunCancelled")
    assert theatre.step("r-apply")["imageID"]


async def test_children_end_after_the_run_when_it_is_cancelled(theatre: Theatre) -> None:
    theatre.start(scenario="hangs")
    await asyncio.sleep(20)
    theatre.cancel("Cancelled")
    await asyncio.sleep(1)
    assert theatre.condition() == ("False", "Cancelled", 'PipelineRun "r" was cancelled')
    assert theatre.tasks()["r-apply"] == ("Unknown", "Running")
    await asyncio.sleep(2)
    assert theatre.tasks()["r-apply"] == ("False", "TaskRunCancelled")
    pods = [pod["metadata"]["name"] for pod in theatre.cluster.items(kinds.PODS)]
    assert "r-apply-pod" in pods
    await asyncio.sleep(3)
    pods = [pod["metadata"]["name"] for pod in theatre.cluster.items(kinds.PODS)]
    assert pods == ["r-prepare-pod"]


async def test_finally_runs_when_the_run_is_cancelled_gracefully(theatre: Theatre) -> None:
    theatre.start(scenario="hangs-with-finally")
    await asyncio.sleep(20)
    theatre.cancel("CancelledRunFinally")
    await asyncio.sleep(7)
    assert theatre.condition()[:2] == ("Unknown", "CancelledRunningFinally")
    assert theatre.tasks()["r-report"] == ("Unknown", "Running")
    await asyncio.sleep(10)
    assert theatre.condition()[:2] == ("False", "Cancelled")
    assert theatre.tasks()["r-report"] == ("True", "Succeeded")


async def test_finally_is_cut_short_when_the_cancellation_becomes_hard(theatre: Theatre) -> None:
    theatre.start(scenario="finally-hangs")
    await asyncio.sleep(20)
    theatre.cancel("CancelledRunFinally")
    await asyncio.sleep(60)
    assert theatre.condition()[0] == "Unknown"
    theatre.cancel("Cancelled")
    await asyncio.sleep(10)
    assert theatre.condition()[:2] == ("False", "Cancelled")
    assert theatre.tasks()["r-report"] == ("False", "TaskRunCancelled")


@pytest.mark.parametrize("scenario", ["stuck", "deaf"])
async def test_run_goes_on_for_ever_when_tekton_does_not_look(
    theatre: Theatre, scenario: str
) -> None:
    theatre.start(scenario=scenario, timeout="1m0s")
    await asyncio.sleep(20)
    theatre.cancel("Cancelled")
    await asyncio.sleep(3600)
    assert theatre.condition()[:2] == ("Unknown", "Running")


async def test_run_and_its_children_are_gone_when_it_vanishes(theatre: Theatre) -> None:
    theatre.start(scenario="vanishes")
    await asyncio.sleep(60)
    assert theatre.cluster.items(RUNS) == []
    assert theatre.tasks() == {}


async def test_run_has_no_children_when_it_is_cancelled_before_its_start(
    theatre: Theatre,
) -> None:
    theatre.start(scenario="full")
    theatre.cancel("Cancelled")
    await asyncio.sleep(60)
    assert theatre.condition()[:2] == ("False", "Cancelled")
    assert theatre.tasks() == {}


async def test_attempts_are_kept_when_a_task_is_retried(theatre: Theatre) -> None:
    theatre.start(scenario="retried")
    await asyncio.sleep(60)
    task_run = theatre.cluster.get(TASK_RUNS, NAMESPACE, "r-apply")
    assert task_run is not None
    assert len(task_run["status"]["retriesStatus"]) == 2


async def test_other_digest_is_reported_when_the_resolver_lies(theatre: Theatre) -> None:
    theatre.start(scenario="other-digest")
    await asyncio.sleep(5)
    assert theatre.status()["provenance"]["refSource"]["digest"] == {"sha256": "0" * 64}


async def test_play_goes_on_when_the_watch_is_lost(theatre: Theatre) -> None:
    theatre.start(scenario="hangs")
    await asyncio.sleep(20)
    theatre.cluster.faults.drop_watches(Match(agent=AGENT))
    theatre.cancel("Cancelled")
    theatre.start("late", scenario="plain")
    await asyncio.sleep(60)
    assert theatre.condition()[:2] == ("False", "Cancelled")
    late = theatre.cluster.get(RUNS, NAMESPACE, "late")
    assert late is not None
    assert _condition(late["status"])[:2] == ("True", "Succeeded")


async def test_tekton_plays_again_when_its_api_comes_back(theatre: Theatre) -> None:
    theatre.start(scenario="hangs")
    await asyncio.sleep(20)
    theatre.cluster.remove_api(RUNS)
    await asyncio.sleep(20)
    theatre.cluster.restore_api(RUNS)
    theatre.start(scenario="full")
    await asyncio.sleep(60)
    assert theatre.condition()[:2] == ("True", "Succeeded")


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        pytest.param({"params": []}, "only status updates", id="started"),
        pytest.param({"status": "Enough"}, "invalid value", id="unknown-status"),
    ],
)
async def test_webhook_refuses_a_change_when_the_run_has_started(
    theatre: Theatre, patch: JsonObject, words: str
) -> None:
    theatre.start(scenario="hangs")
    await asyncio.sleep(20)
    with pytest.raises(statuses.StatusError, match=words):
        theatre.cluster.patch(RUNS, NAMESPACE, "r", {"spec": patch})


async def test_webhook_refuses_a_cancellation_when_the_run_is_done(theatre: Theatre) -> None:
    theatre.start(scenario="plain")
    await asyncio.sleep(60)
    with pytest.raises(statuses.StatusError, match="Once the PipelineRun is complete"):
        theatre.cancel("Cancelled")


async def test_log_can_be_read_when_a_step_has_written_one(theatre: Theatre) -> None:
    theatre.start(scenario="exit-42")
    await asyncio.sleep(60)
    async with Api(Endpoint(theatre.cluster.url)) as api:
        replies = [
            await api.request(
                "GET",
                kinds.PODS.path(NAMESPACE, f"r-{task}-pod", "log"),
                query={"container": "step-run"},
            )
            for task in ("apply", "prepare")
        ]
    assert (replies[0].status, replies[0].raw) == (200, b"applying\ncannot apply\n")
    assert (replies[1].status, replies[1].body["reason"]) == (400, "BadRequest")
