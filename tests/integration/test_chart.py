"""The Helm chart: what it renders, what it refuses, and a real `helm install`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.stack import binaries
from tests.stack.cluster import Parts, Stack
from tests.support import chart, installation
from workflowexecution import config, settingkeys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PLACE = installation.SYSTEM, installation.CONTROLLER
DIGEST = "0123456789abcdef" * 4
KEEP = "helm.sh/resource-policy"
MARK = "workflowexecution.kubernaut.ai/settings"


def by_name(text: str) -> dict[tuple[str, str, str], Any]:
    """The objects of YAML documents."""
    return {
        (it["kind"], it["metadata"].get("namespace", ""), it["metadata"]["name"]): it
        for it in yaml.safe_load_all(text)
        if it
    }


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(binaries.ensure(["helm"])["helm"])
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    version = binaries.module_version(binaries.KUBERNETES)
    return run(
        "template", "we", str(chart.CHART), "--include-crds", "--kube-version", version, *arguments
    )


def rendered(*values: str) -> dict[tuple[str, str, str], Any]:
    """What the chart makes of values."""
    done = template(*(f"--set={it}" for it in values))
    assert done.returncode == 0, done.stderr
    return by_name(done.stdout)


def refused(*values: str) -> str:
    """What the chart says to values that it cannot bear."""
    done = template(*(f"--set={it}" for it in values))
    assert done.returncode != 0
    return done.stderr


def with_file(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What helm says to values as a file has them."""
    path = folder / "values.yaml"
    path.write_text(text, "utf-8")
    return template(f"--values={path}")


def pod(made: dict[tuple[str, str, str], Any]) -> Any:  # noqa: ANN401 - raw object
    return made["Deployment", *PLACE]["spec"]["template"]["spec"]


def test_chart_installs_what_the_manifests_do(stack: Stack) -> None:
    made = rendered("createNamespaces.system=true")
    for it in made.values():
        if it["kind"] == "Namespace":
            assert it["metadata"].pop("annotations") == {KEEP: "keep"}
    template = made["Deployment", *PLACE]["spec"]["template"]
    assert template["metadata"]["annotations"].pop(MARK)
    folder = str(installation.MANIFESTS / "default")
    assert made == by_name(stack.kubectl("kustomize", folder))


def test_chart_takes_other_values() -> None:
    made = rendered(
        "replicas=1", "createNamespaces.workflows=false", "image.tag=mine",
        "config.logging.level=debug", "terminationGracePeriodSeconds=70",
    )  # fmt: skip
    assert made["Deployment", *PLACE]["spec"]["replicas"] == 1
    assert pod(made)["containers"][0]["image"].endswith(":mine")
    assert pod(made)["terminationGracePeriodSeconds"] == 70
    config = made["ConfigMap", installation.SYSTEM, "workflowexecution-config"]
    assert yaml.safe_load(config["data"]["config.yaml"])["logging"] == {"level": "debug"}
    assert [key for key in made if key[0] == "Namespace"] == []


@pytest.mark.parametrize(
    ("values", "image"),
    [
        pytest.param("image.tag=null", f"{chart.IMAGE}:v0.1.0", id="version-of-the-chart"),
        pytest.param(
            "image.repository=registry.example:5000/ours", "registry.example:5000/ours:v0.1.0",
            id="port",
        ),
        pytest.param(
            f"image.tag=v1@sha256:{DIGEST}", f"{chart.IMAGE}:v1@sha256:{DIGEST}", id="both"
        ),
        pytest.param(
            f"image.repository=ours@sha256,image.tag={DIGEST}", f"ours@sha256:{DIGEST}", id="digest"
        ),
    ],
)  # fmt: skip
def test_chart_runs_the_image_that_it_is_told(values: str, image: str) -> None:
    assert pod(rendered(values))["containers"][0]["image"] == image


def test_chart_adds_to_the_pod_what_it_is_told() -> None:
    made = pod(rendered(
        "env[0].name=OTEL_EXPORTER_OTLP_HEADERS", "env[0].value=a=b",
        "extraVolumes[0].name=token", "extraVolumes[0].secret.secretName=store",
        "extraVolumeMounts[0].name=token", "extraVolumeMounts[0].mountPath=/token",
        "imagePullSecrets[0].name=pull", "nodeSelector.disk=ssd", "tolerations[0].key=own",
        "affinity.nodeAffinity.x=y",
    ))  # fmt: skip
    (container,) = made["containers"]
    named = [it["name"] for it in container["env"]]
    assert named == ["POD_NAME", "POD_NAMESPACE", "OTEL_EXPORTER_OTLP_HEADERS"]
    assert [it["name"] for it in container["volumeMounts"]] == ["config", "token"]
    assert made["volumes"][1] == {"name": "token", "secret": {"secretName": "store"}}
    assert made["imagePullSecrets"] == [{"name": "pull"}]
    assert made["nodeSelector"] == {"disk": "ssd"}
    assert made["tolerations"] == [{"key": "own"}]
    assert made["affinity"] == {"nodeAffinity": {"x": "y"}}


@pytest.mark.parametrize(
    ("values", "strategy"),
    [
        pytest.param(
            ("replicas=1",),
            {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            id="election",
        ),
        pytest.param(
            ("replicas=1", "config.controller.leaderElection=false"),
            {"type": "Recreate"},
            id="none",
        ),
        pytest.param(("replicas=1", "config=null"), {"type": "Recreate"}, id="no-config"),
        pytest.param(
            ("replicas=1", "config.controller=null"), {"type": "Recreate"}, id="no-section"
        ),
        pytest.param(("replicas=0", "config=null"), {"type": "Recreate"}, id="scaled-later"),
    ],
)
def test_chart_brings_no_second_one_beside_one_that_would_act(
    values: Sequence[str], strategy: dict[str, Any]
) -> None:
    assert rendered(*values)["Deployment", *PLACE]["spec"]["strategy"] == strategy


def test_chart_replaces_the_pods_when_the_election_is_turned_on() -> None:
    """One that began without it would go on to act, beside the one that wins."""
    alone = rendered("replicas=1", "config.controller.leaderElection=false")
    before, after = (it["Deployment", *PLACE]["spec"]["template"] for it in (alone, rendered()))
    assert before != after
    assert before["spec"] == after["spec"]


def marked(*values: str) -> str:
    """What the pods are replaced for when it changes."""
    made = rendered(*values)["Deployment", *PLACE]["spec"]["template"]["metadata"]["annotations"]
    text: str = made[MARK]
    return text


@pytest.mark.parametrize(
    "values",
    [
        pytest.param("config.datastorage.timeout=11s", id="another-value"),
        pytest.param("config.controller.watchNamespace=payment", id="beside-reloaded-ones"),
        pytest.param("config.limits.watchIdle=2m", id="another-section"),
        pytest.param("config.datastorage.buffer.batchSize=5", id="further-in"),
    ],
)
def test_chart_replaces_the_pods_when_a_setting_takes_a_restart(values: str) -> None:
    assert marked(values) != marked()


def test_chart_leaves_the_pods_alone_when_a_setting_is_reloaded() -> None:
    reloaded = sorted(settingkeys.RELOADED)
    assert {marked(f"config.{it}=true") for it in reloaded} == {marked()}
    assert marked(*(f"config.{it}=true" for it in reloaded)) == marked()


def test_chart_lets_out_to_the_port_of_the_api_server_alone() -> None:
    made = rendered("apiServerPorts={7443}")
    policy = made["NetworkPolicy", PLACE[0], "workflowexecution-controller-api-server"]
    assert policy["spec"]["egress"] == [{"ports": [{"protocol": "TCP", "port": 7443}]}]


def test_chart_leaves_the_ids_to_who_gives_them_out() -> None:
    ids = ("runAsUser", "runAsGroup", "fsGroup")
    made = pod(rendered(*(f"podSecurityContext.{it}=null" for it in ids)))
    assert made["securityContext"] == {
        "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("config.execution.namespace=mine", "config.execution.namespace must be"),
        ("config.controller.instance=blue", "config.controller.instance must be"),
        ("config.controller.metricsAddr=:9091", 'must be ":9090", not ":9091"'),
        ("config.controller.healthProbeAddr=:80", "config.controller.healthProbeAddr must be"),
        ("config.controller.leaderElectionId=mine", "config.controller.leaderElectionId must be"),
        ("config.controller.leaderElectionNamespace=x", "leaderElectionNamespace must be"),
        ("config.controller.leaderElection=false", "replicas must be 0 or 1, not 2"),
        ("extraVolumes[0].name=config", "extraVolumes must not have the name config"),
        ("extraVolumeMounts[0].mountPath=/etc/workflowexecution/", "must not have the mountPath"),
        (
            "extraVolumeMounts[0].mountPath=/etc/workflowexecution/config.yaml",
            "must not have the mountPath",
        ),
        ("env[0].name=WE_EXECUTION_NAMESPACE", "env must not have WE_EXECUTION_NAMESPACE"),
        ("config.execution.namespce=mine", "namespce"),
        ("createNamespaces=true", "createNamespaces"),
        ("replica=3", "replica"),
        ("image.tag=", "/image/tag"),
        ("image.tag=a b", "/image/tag"),
        ("image.repository=", "/image/repository"),
        ("image.repository=null", "repository"),
        ("image.repository=ours #", "/image/repository"),
        ("image.repository=registry.example/ours:v1", "/image/repository"),
        ("image=null", "image"),
        ("createNamespaces=null", "createNamespaces"),
        ("podSecurityContext=null", "podSecurityContext"),
        ("apiServerPorts=null", "apiServerPorts"),
        ("apiServerPorts={}", "/apiServerPorts/0"),
        ("apiServerPorts={0}", "/apiServerPorts/0"),
        ("apiServerPorts={443,65536}", "/apiServerPorts/1"),
        ("env[0].name=,env[0].value=x", "/env/0/name"),
    ],
)
def test_chart_refuses_what_it_would_not_honour(values: str, says: str) -> None:
    assert says in refused(values)


def test_chart_tells_everything_that_is_wrong_at_once() -> None:
    said = refused("config.controller.leaderElection=false", "config.controller.instance=blue")
    assert "replicas must be" in said
    assert "config.controller.instance must be" in said


@pytest.mark.parametrize(
    "values",
    [
        ("config.controller.leaderElection=false", "replicas=1"),
        ("config.controller.leaderElectionNamespace=kubernaut-system",),
        ("extraVolumeMounts[0].mountPath=/etc/workflowexecution/tls", "extraVolumes[0].name=tls"),
        ("config.execution.namespace=kubernaut-workflows", "config.controller.metricsAddr=:9090"),
    ],
)
def test_chart_takes_what_is_as_it_is_anyway(values: Sequence[str]) -> None:
    assert "Deployment" in {key[0] for key in rendered(*values)}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param(
            'config: {controller: {leaderElection: "false"}}', "boolean", id="text-for-a-boolean"
        ),
        pytest.param("config:", "replicas must be 0 or 1, not 2", id="no-config"),
        pytest.param("config: {controller: }", "replicas must be 0 or 1", id="empty-controller"),
        pytest.param(
            "config: {controller: {leaderElection: true, shutdownGrace: 1m1.5s}}",
            "must be at least 10 s more than config.controller.shutdownGrace, 1m1.5s, not 40",
            id="grace-of-minutes",
        ),
        *(
            pytest.param(
                f"config: {{controller: {{shutdownGrace: {it}}}}}", f"Grace, {it}, not 40", id=name
            )
            for it, name in [
                ("60000000us", "microseconds"),
                ("60000000\u00b5s", "micro-sign"),
                ("60000000\u03bcs", "greek-letter"),
                ("60000000000ns", "nanoseconds"),
                ("30s1ns", "by-a-nanosecond"),
            ]
        ),
        pytest.param("config: {controller: {shutdownGrace: 31}}", "Grace, 31, not 40", id="number"),
        pytest.param("terminationGracePeriodSeconds: 39", "Grace, 30s, not 39", id="default-grace"),
    ],
)
def test_chart_refuses_what_a_file_says_wrongly(tmp_path: Path, values: str, says: str) -> None:
    done = with_file(tmp_path, values)
    assert done.returncode != 0
    assert says in done.stderr


EMPTY = "execution: , datastorage: {buffer: }, controller: {metricsTLS: , leaderElection: true}"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param("{replicas: 1, config: }", id="no-config"),
        pytest.param(f"config: {{{EMPTY}}}", id="empty-sections"),
        pytest.param("config: {controller: {shutdownGrace: 30.0}}", id="number"),
        pytest.param(
            "{terminationGracePeriodSeconds: 42, config: {controller: {shutdownGrace: 31s9us9ns}}}",
            id="grace-of-microseconds",
        ),
        pytest.param(
            "{terminationGracePeriodSeconds: 91, config: {controller: {shutdownGrace: 1m20500ms}}}",
            id="longer-grace",
        ),
    ],
)
def test_chart_takes_what_the_program_does(tmp_path: Path, values: str) -> None:
    done = with_file(tmp_path, values)
    assert done.returncode == 0, done.stderr
    made = by_name(done.stdout)["ConfigMap", installation.SYSTEM, "workflowexecution-config"]
    path = tmp_path / "config.yaml"
    path.write_text(made["data"]["config.yaml"], "utf-8")
    assert config.load(path, {}) is not None


def test_chart_leaves_a_duration_that_is_none_to_the_program(tmp_path: Path) -> None:
    assert with_file(tmp_path, "config: {controller: {shutdownGrace: soon}}").returncode == 0


@pytest.fixture
def bare() -> Iterator[Stack]:
    """A cluster that has nothing of this project yet."""
    with Stack(name="chart", parts=Parts.CONTROL_PLANE) as made:
        yield made


ALONE = ("--set=replicas=1", "--set=config.controller.leaderElection=false")


def test_helm_installs_into_a_cluster_that_has_nothing_yet(bare: Stack) -> None:
    where = ("-n", installation.SYSTEM, f"--kubeconfig={bare.kubeconfig}")
    steps = [
        ("install", "we", str(chart.CHART), "--create-namespace", *where),
        ("upgrade", "we", str(chart.CHART), "--set=replicas=1", *where),
        ("upgrade", "we", str(chart.CHART), *ALONE, *where),
        ("upgrade", "we", str(chart.CHART), "--set=replicas=1", *where),
        ("uninstall", "we", *where),
        ("install", "we", str(chart.CHART), *where),
    ]
    for step in steps:
        done = run(*step)
        assert done.returncode == 0, done.stderr
        for it in (installation.SYSTEM, installation.WORKFLOWS):
            found = bare.api.json("GET", f"/api/v1/namespaces/{it}")
            assert "deletionTimestamp" not in found["metadata"], step
    path = f"/apis/apps/v1/namespaces/{installation.SYSTEM}/deployments/{installation.CONTROLLER}"
    assert bare.api.json("GET", path)["spec"]["replicas"] == 2
