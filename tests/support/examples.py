"""The bundles of `examples/`, a workload for them to mend, and the way from one to the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support import place

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples"
TOOLS = "workflow-tools"
DEPLOYMENT, DATABASE, CACHE = "payment-api", "payment-db", "payment-cache"
JOB, STUCK, SETTINGS = "settle-accounts", "payment-stuck", "payment-settings"


def names() -> list[str]:
    """The examples, by their folders."""
    return sorted(path.parent.name for path in FOLDER.glob("*/pipeline.yaml"))


def documents(name: str, file: str) -> list[JsonObject]:
    """The objects of a file of an example; none if it has no such file."""
    path = FOLDER / name / file
    return list(yaml.safe_load_all(path.read_text("utf-8"))) if path.exists() else []


def accounts() -> list[str]:
    """The accounts that examples bring along."""
    found = (it for name in names() for it in documents(name, "account.yaml"))
    return sorted(it["metadata"]["name"] for it in found if it["kind"] == "ServiceAccount")


def push(where: place.Place, name: str, image: str) -> str:
    """Push an example as a user does; returns its reference with the digest."""
    reference = f"{where.registry}/workflows/{name}:1.0.0"
    done = subprocess.run(
        [
            sys.executable, "-m", "workflowexecution", "bundle", "push", reference,
            "-f", str(FOLDER / name / "pipeline.yaml"), "--image", f"{TOOLS}={image}",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def execution(name: str, pushed: str, **parameters: str) -> JsonObject:
    """The example's own execution, of what was pushed; parameters replace its own."""
    (made,) = documents(name, "execution.yaml")
    image, _, digest = pushed.partition("@")
    made["spec"]["workflowRef"].update(containerImage=image, containerDigest=digest)
    if parameters:
        made["spec"].setdefault("parameters", {}).update(parameters)
    return made


def workload(where: place.Place) -> list[JsonObject]:
    """Things that can be remediated: they sleep, and end when they are told to."""
    return [
        _scaled("Deployment", DEPLOYMENT, where, {}),
        _scaled("StatefulSet", DATABASE, where, {"serviceName": DATABASE}),
        _scaled("StatefulSet", CACHE, where, {"serviceName": CACHE}),
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": _metadata(JOB),
            "spec": {"template": _template(JOB, where, restartPolicy="Never")},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _metadata(SETTINGS),
            "data": {"log-level": "info", "currency": "EUR"},
        },
    ]


def stuck_pod(where: place.Place) -> JsonObject:
    """A pod that ends ten minutes after it was told to."""
    template = _template(STUCK, where, terminationGracePeriodSeconds=600)
    template["spec"]["containers"][0]["command"] = ["sh", "-c", "trap '' TERM; sleep 9999"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(STUCK), **_spec_of(template)}


def _scaled(kind: str, name: str, where: place.Place, more: JsonObject) -> JsonObject:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": _metadata(name),
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": _template(name, where),
            **more,
        },
    }


def _template(name: str, where: place.Place, **spec: Any) -> JsonObject:  # noqa: ANN401 - raw spec
    container = {
        "name": "main",
        "image": where.step_image,
        "imagePullPolicy": where.pull_policy,
        "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 9999 & wait"],
        "resources": {"limits": {"memory": "64Mi"}},
    }
    inner = {"terminationGracePeriodSeconds": 5, "containers": [container], **spec}
    return {"metadata": {"labels": {"app": name}}, "spec": inner}


def _spec_of(template: JsonObject) -> JsonObject:
    return {"spec": template["spec"]}


def _metadata(name: str) -> JsonObject:
    return {"name": name, "namespace": place.TEAM, "labels": {"app": name}}
