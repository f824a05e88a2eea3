"""Measures what the caches keep for each object: the slope between 1,000 and many of them.

In a process of its own making, without a cluster: the projections and stores of the program, over
objects as an apiserver gives them.
"""

import gc
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from tests import builders
from tests.benchmark.measure import Measurement, Plan
from workflowexecution.adapters import tekton
from workflowexecution.api import names
from workflowexecution.reconciler import view
from workflowexecution.runtime import store

_FEW = 1000
_TASKS = 4
# Stands for the number in the names of all objects.
_PATTERN = 999_999_999_999


def take(plan: Plan, crd: Path) -> Measurement:
    """Measure with up to `plan.size` objects of each kind; no CRD takes part."""
    del crd
    load_average = os.getloadavg()[0]
    return Measurement(
        scenario=plan.scenario,
        subject=plan.subject.value,
        tekton=plan.tekton,
        size=plan.size,
        load_average=load_average,
        figures={name: round(value, 1) for name, value in slopes(plan.size).items()},
        requests={},
    )


def slopes(many: int) -> dict[str, float]:
    """Return the bytes that one more object takes, by kind."""
    return {
        f"{name}_bytes": _slope(hold, many)
        for name, hold in (
            ("ended_execution", lambda count: _executions(count, "Completed")),
            ("live_execution", lambda count: _executions(count, "Running")),
            ("run", _runs),
        )
    }


def _slope(hold: Callable[[int], object], many: int) -> float:
    few_bytes, many_bytes = (_bytes(hold, count) for count in (_FEW, many))
    return (many_bytes - few_bytes) / (many - _FEW)


def _bytes(hold: Callable[[int], object], count: int) -> int:
    """Return how much is in use while so many are held, more than before."""
    hold(1)
    gc.collect()
    tracemalloc.start()
    try:
        held = hold(count)
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
        del held
    finally:
        tracemalloc.stop()
    return used


def _executions(count: int, phase: str) -> store.Store[view.Execution]:
    cache = store.StoreWriter[view.Execution](view.indexes())
    project = view.projection("", "")
    cache.replace(project(raw) for raw in _received(_execution(_PATTERN, phase), count))
    return cache


def _runs(count: int) -> store.Store[tekton.Run]:
    cache = store.StoreWriter[tekton.Run](tekton.run_indexes())
    cache.replace(tekton.project_run(raw) for raw in _received(_run(_PATTERN), count))
    return cache


def _received(pattern: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """Let objects come over the wire: texts that are equal are not the same one."""
    text, placeholder = orjson.dumps(pattern), b"%012d" % _PATTERN
    for number in range(count):
        yield orjson.loads(text.replace(placeholder, b"%012d" % number))


def _execution(number: int, phase: str) -> dict[str, Any]:
    raw = builders.raw_execution(f"we-rr-{number:012}")
    raw["metadata"] |= {
        "uid": f"00000000-0000-4000-8000-{number:012}",
        "finalizers": [names.FINALIZER],
    }
    raw["spec"]["targetResource"] = f"payment/deployment/api-{number:012}"
    raw["spec"]["remediationRequestRef"] = {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "RemediationRequest",
        "namespace": "payment",
        "name": f"rr-{number:012}",
        "uid": f"11111111-0000-4000-8000-{number:012}",
    }
    raw["status"] = {
        "phase": phase,
        "startTime": builders.stamp(),
        "pipelineRunRef": {
            "name": f"wfe-{number:012}",
            "uid": f"run-{number:012}-4000-8000-000000000000",
        },
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": "Succeeded",
                "message": f"Of run {number}",
                "lastTransitionTime": builders.stamp(),
            }
            for kind in ("TektonPipelineCreated", "TektonPipelineRunning", "Ready")
        ],
    }
    if phase == "Completed":
        ended = {"completionTime": builders.stamp(), "duration": "1m30s"}
        raw["status"] |= {"outcome": "Success", **ended}
    return raw


def _run(number: int) -> dict[str, Any]:
    condition = ("True", "Succeeded", "Tasks Completed: 12")
    raw = builders.raw_run(owner=f"uid-{number:012}-4000-8000-000000000000", condition=condition)
    raw["metadata"] |= {
        "name": f"wfe-{number:012}",
        "uid": f"run-{number:012}-4000-8000-000000000000",
    }
    raw["status"]["pipelineSpec"] = {
        "tasks": [
            {"name": f"task-{it}", "taskSpec": {"steps": [{"name": "main", "script": "x" * 500}]}}
            for it in range(_TASKS)
        ]
    }
    raw["status"]["childReferences"] = [
        {"kind": "TaskRun", "name": f"wfe-{number:012}-task-{it}", "pipelineTaskName": f"task-{it}"}
        for it in range(2)
    ]
    return raw
