"""Fills a cluster with finished executions and their runs, straight into etcd.

Through the apiserver that would be four requests for each pair. One execution is played by the
controller itself, so that what is stored is what the controller leaves; the others are copies of
it with names, targets and UIDs of their own.
"""

import base64
import datetime
import itertools
import json
import time
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from tests.benchmark import cluster, load, objects, subjects
from tests.benchmark.client import JsonObject
from tests.support import executions, numbered, procfs
from workflowexecution.api import times

RUN_BYTES = 8192

_SECTIONS = {"execution": {"runRetention": "2h"}}
_EXECUTIONS = f"/registry/{objects.GROUP}/workflowexecutions/{objects.EXECUTIONS_NAMESPACE}/"
_RUNS = f"/registry/tekton.dev/pipelineruns/{objects.RUNS_NAMESPACE}/"
_TEMPLATE_LIMIT_S = 60.0
_TIMEOUT_S = 60.0
_CATCH_UP_LIMIT_S = 120.0
_CAUGHT_UP_S = 0.3
# Of one core; with nothing to do it takes some 0.05.
_RESTS_BELOW = 0.2
_REST_WITHIN_S = 2.0
# etcd takes 128 operations and 1.5 MiB in one transaction.
_OPERATIONS = 96


def fill(base: cluster.Cluster, size: int, *, extra_runs: int = 0, age_s: float = 0.0) -> None:
    """Store `size` finished executions, each with a run of 8 KB.

    Args:
        base: where.
        size: how many, the one that is played included.
        extra_runs: so many runs besides, without the controller's labels.
        age_s: for how long the copies have been over.

    Raises:
        RuntimeError: the one execution that the controller plays did not complete, or the control
            plane has not come to rest.
    """
    with (
        subjects.tekton(base, mode="plain", duration_s=0.0),
        subjects.running(subjects.Subject.CONTROLLER, base, _SECTIONS) as controller,
    ):
        shape = load.Shape(size=1, rate=0.0, limit_s=_TEMPLATE_LIMIT_S)
        course = load.run(base.way, shape, check=controller.process.check)
        # What is still due would be written by whoever starts next, for each copy.
        _wait_recorded(base)
    if course.phases.get(0) != "Completed":
        raise RuntimeError(f"the template did not complete: {course.phases}")
    execution = _get(base, _EXECUTIONS + numbered.name(0))
    if not executions.is_recorded(orjson.loads(execution)):
        raise RuntimeError("the template's audit records are not acknowledged")
    run = orjson.dumps(_padded(orjson.loads(_get(base, _RUNS + numbered.run_name(0)))))
    if age_s:
        execution = orjson.dumps(_aged(orjson.loads(execution), age_s))
    _put(base, _copies(execution, run, size))
    _put(base, _strangers(orjson.loads(run), extra_runs))
    _wait_served(base)
    _wait_at_rest(base)


def _wait_recorded(base: cluster.Cluster) -> None:
    """Wait for the controller's last write on the template."""
    deadline = time.monotonic() + _TEMPLATE_LIMIT_S
    path = f"{objects.EXECUTIONS}/{numbered.name(0)}"
    while time.monotonic() < deadline:
        if executions.is_recorded(base.stack.api.json("GET", path)):
            return
        time.sleep(_CAUGHT_UP_S)


def _wait_served(base: cluster.Cluster) -> None:
    """Wait until the apiserver's caches have caught up, which is not the controller's time."""
    deadline = time.monotonic() + _CATCH_UP_LIMIT_S
    while time.monotonic() < deadline:
        asked = time.monotonic()
        for path in (objects.EXECUTIONS, objects.RUNS):
            base.stack.api.json("GET", f"{path}?limit=1")
        if time.monotonic() - asked < _CAUGHT_UP_S:
            return
        time.sleep(1.0)


def _wait_at_rest(base: cluster.Cluster) -> None:
    """Wait until the control plane has done what the seed gave it to do.

    For seconds it holds every core, with its caches and the garbage collector's graph.
    """
    deadline = time.monotonic() + _CATCH_UP_LIMIT_S
    before = _cpu_s(base)
    while time.monotonic() < deadline:
        time.sleep(_REST_WITHIN_S)
        now = _cpu_s(base)
        if now - before < _RESTS_BELOW * _REST_WITHIN_S:
            return
        before = now
    raise RuntimeError(f"the control plane is not at rest after {_CATCH_UP_LIMIT_S:.0f} s")


def _cpu_s(base: cluster.Cluster) -> float:
    return sum(procfs.read(pid).cpu_s for pid in base.pids.values())


def _copies(execution: bytes, run: bytes, size: int) -> Iterator[tuple[str, bytes]]:
    uids = [orjson.loads(each)["metadata"]["uid"].encode() for each in (execution, run)]
    template = numbered.target_hash(numbered.target(0)).encode()
    for number in range(1, size):
        swaps = [(uid, str(uuid.uuid4()).encode()) for uid in uids]
        swaps.append((template, numbered.target_hash(numbered.target(number)).encode()))
        swaps += _names(number)
        yield _EXECUTIONS + numbered.name(number), _swap(execution, swaps)
        yield _RUNS + numbered.run_name(number), _swap(run, swaps)


def _aged(execution: JsonObject, age_s: float) -> JsonObject:
    """Let it have ended earlier, as its status says."""
    status = execution["status"]
    told = [(status, field) for field in ("startTime", "completionTime")]
    told += [(said, "lastTransitionTime") for said in status["conditions"]]
    for said, field in told:
        when = datetime.datetime.fromisoformat(said[field]) - datetime.timedelta(seconds=age_s)
        said[field] = times.stamp(when)
    return execution


def _strangers(run: JsonObject, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield runs that somebody else has made."""
    run["metadata"].pop("labels", None)
    for number in range(size):
        run["metadata"] |= {"name": f"stranger-{number:06d}", "uid": str(uuid.uuid4())}
        yield f"{_RUNS}stranger-{number:06d}", orjson.dumps(run)


def _names(number: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield every text that holds an execution's number."""
    for prefix in ("rr-", "api-"):
        yield f"{prefix}{0:06d}".encode(), f"{prefix}{number:06d}".encode()


def _swap(document: bytes, swaps: Iterable[tuple[bytes, bytes]]) -> bytes:
    for old, new in swaps:
        document = document.replace(old, new)
    return document


def _padded(run: JsonObject) -> JsonObject:
    """Add what a real run carries besides: the pipeline it was made from."""
    tasks: list[JsonObject] = []
    run["status"]["pipelineSpec"] = {"tasks": tasks}
    for number in itertools.count():
        if len(orjson.dumps(run)) >= RUN_BYTES:
            return run
        tasks.append({
            "name": f"task-{number}",
            "params": [{"name": "TARGET_RESOURCE", "value": "$(params.TARGET_RESOURCE)"}],
            "taskSpec": {
                "steps": [
                    {
                        "name": "main",
                        "image": "registry.example/kubectl:1.34",
                        "computeResources": {},
                        "script": "#!/bin/sh\nset -eu\nkubectl rollout status deployment/api\n",
                    }
                ]
            },
        })
    raise AssertionError


def _get(base: cluster.Cluster, key: str) -> bytes:
    answer = _call(base, "range", {"key": _encoded(key.encode())})
    return base64.b64decode(answer["kvs"][0]["value"])


def _put(base: cluster.Cluster, entries: Iterator[tuple[str, bytes]]) -> None:
    while batch := list(itertools.islice(entries, _OPERATIONS)):
        operations = [
            {"requestPut": {"key": _encoded(key.encode()), "value": _encoded(value)}}
            for key, value in batch
        ]
        _call(base, "txn", {"success": operations})


def _call(base: cluster.Cluster, verb: str, body: JsonObject) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{base.etcd_url}/v3/kv/{verb}",
        data=orjson.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        decoded: dict[str, Any] = json.load(answer)
    return decoded


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
