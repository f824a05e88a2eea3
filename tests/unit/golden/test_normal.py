"""Objects of one cluster as objects of no cluster in particular."""

from __future__ import annotations

import json
from typing import Any

from tests.golden import normal

MACHINE = normal.Machine("golden-x", "127.0.0.1:16450", "127.0.0.1:40123", "record-node")
ONE, TWO = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


def raw(run: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - raw JSON
    """What is taken home, with nothing in it but a run and what is named."""
    kinds = ("taskRuns", "customRuns", "resolutionRequests", "pods", "events", "logs")
    empty = {kind: list[Any]() for kind in kinds}
    return {"refusing": MACHINE.refusing, "pipelineRun": run or {}, **empty, **parts}


def run_of(run: dict[str, Any]) -> Any:  # noqa: ANN401 - raw JSON
    return normal.normalise(raw(run), MACHINE)["pipelineRun"]


def event(reason: str, **more: object) -> dict[str, Any]:
    about = {"kind": "Pod", "name": "p", "uid": ONE, "resourceVersion": "7"}
    return {"involvedObject": about, "reason": reason, "message": "m", **more}


def test_uids_keep_which_are_equal() -> None:
    made = run_of({"a": ONE, "b": f"of {TWO}", "c": ONE})
    assert made == {
        "a": "00000000-0000-4000-8000-000000000001",
        "b": "of 00000000-0000-4000-8000-000000000002",
        "c": "00000000-0000-4000-8000-000000000001",
    }


def test_times_keep_their_distance_in_whole_seconds() -> None:
    made = run_of({
        "created": "2026-11-21T08:00:01Z",
        "micro": "2026-11-21T08:00:03.999999Z",
        "log": "2026/11/21 08:01:01 it failed",
        "epoch": "1970-01-01T00:00:00Z",
    })
    assert made == {
        "created": "2026-01-01T12:00:00Z",
        "micro": "2026-01-01T12:00:02Z",
        "log": "2026-01-01T12:01:00Z it failed",
        "epoch": "1970-01-01T00:00:00Z",
    }


def test_versions_keep_their_order() -> None:
    made = run_of({"x": {"resourceVersion": "1100"}, "y": [{"resourceVersion": "99"}]})
    assert made == {"x": {"resourceVersion": "2"}, "y": [{"resourceVersion": "1"}]}


def test_names_of_the_machine_are_replaced() -> None:
    said = "golden-x 127.0.0.1:16450/a 127.0.0.1:40123/b record-node 10.213.4.7 127.0.0.1:51234"
    assert run_of({"said": said})["said"] == (
        "kubernaut-workflows registry.example:5000/a refusing.example:5000/b node-1 192.0.2.1 "
        "127.0.0.1:40000"
    )


def test_digests_and_random_names_are_numbered() -> None:
    made = run_of({
        "image": "sha256:" + "ab" * 32,
        "same": "containerd://" + "ab" * 32,
        "request": "bundles-" + "cd" * 16,
        "volume": "kube-api-access-x8z2k",
        "pulled": 'Successfully pulled image "a" in 312ms (312ms including waiting)',
    })
    assert made["image"].endswith("01")
    assert made["same"].removeprefix("containerd://") == made["image"].removeprefix("sha256:")
    assert made["request"] == f"bundles-{1:032x}"
    assert made["volume"] == "kube-api-access-00000"
    assert made["pulled"] == 'Successfully pulled image "a" in some time'


def test_what_no_reader_needs_is_left_out() -> None:
    made = run_of({"managedFields": [1], "featureFlags": {}, "value": "x" * 5000, "kept": 1})
    assert made == {"value": "x" * 64 + "[5000 characters in all]", "kept": 1}


def test_pods_keep_what_they_asked_for_and_what_became_of_them() -> None:
    container = {"name": "step-run", "image": "i", "volumeMounts": [1]}
    spec = {"nodeName": "record-node", "volumes": [1], "containers": [container]}
    pod = {"metadata": {"name": "p"}, "spec": spec, "status": {"phase": "Failed"}, "gone": True}
    made = normal.normalise(raw(pods=[pod]), MACHINE)["pods"][0]
    assert made["spec"] == {
        "containers": [{"image": "i", "name": "step-run"}],
        "initContainers": [],
        "nodeName": "node-1",
    }
    assert (made["status"], made["gone"]) == ({"phase": "Failed"}, True)


def test_events_are_in_order_and_without_hiccups() -> None:
    hiccup = event("FailedMount") | {"message": 'volume "kube-api-access-abcde": timed out'}
    late = event("Started", firstTimestamp="2026-11-21T08:00:05Z", count=1)
    early = event("Scheduled", eventTime="2026-11-21T08:00:01.5Z", count=0)
    made = normal.normalise(raw(events=[late, hiccup, early]), MACHINE)["events"]
    assert [it["reason"] for it in made] == ["Scheduled", "Started"]
    assert "resourceVersion" not in made[0]["involvedObject"]
    assert (made[1]["count"], "count" in made[0]) == (1, False)


def test_resolutions_keep_their_words_and_not_the_bundle() -> None:
    request = {
        "metadata": {"creationTimestamp": "2026-11-21T08:00:01Z", "name": "b"},
        "status": {"data": "aGVsbG8=", "conditions": [1]},
    }
    made = normal.normalise(raw(resolutionRequests=[request]), MACHINE)["resolutionRequests"][0]
    assert made["status"] == {"data": "[the pipeline, in base64]", "conditions": [1]}


def test_a_file_has_short_things_on_one_line_and_is_json() -> None:
    document = {
        "case": "x",
        "about": "y",
        "pods": [{"name": "p" * 60, "phase": "Failed"}, {"name": "q" * 60}],
        "logs": [],
    }
    text = normal.write(document)
    assert json.loads(text) == document
    assert text.splitlines()[:4] == ["{", ' "case": "x",', ' "about": "y",', ' "pods": [']
    assert ' "logs": []' in text
