"""The manifests and what the documents and the program say of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support import chart, installation, posture, rights
from workflowexecution import config, settings
from workflowexecution.adapters import guard, outbox
from workflowexecution.api import duration, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = installation.MANIFESTS.parent / "docs"


def in_yaml(document: str) -> Iterator[Any]:
    """What stands in the YAML blocks of a document."""
    text = (DOCS / document).read_text("utf-8")
    for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from yaml.safe_load_all(block)


def bare(given: list[rights.Right]) -> set[tuple[str, str, str, str]]:
    return {(it.group, it.resource, it.verb, it.name) for it in given}


def test_documented_rights_are_those_of_the_roles() -> None:
    (documented,) = (it for it in in_yaml("configuration.md") if isinstance(it, list))
    said = rights.given((rule, "") for rule in documented)
    assert bare(said) == bare(rights.given(installation.rules()))


@pytest.mark.parametrize("path", ["controller/config.yaml", "overlays/kind/config.yaml"])
def test_configuration_is_one_that_the_program_takes(path: str, tmp_path: Path) -> None:
    (made,) = installation.documents(path)
    file = tmp_path / "config.yaml"
    file.write_text(made["data"]["config.yaml"])
    found = config.load(file, {})
    assert found.controller.leader_election


def test_names_in_the_roles_are_those_of_the_program() -> None:
    named = {it for rule, _ in installation.rules() for it in rule.get("resourceNames", ())}
    election = settings.Controller().leader_election_id
    assert named == {election, *outbox.part_names(), guard.KEY.name, "pipelineruns.tekton.dev"}


def test_policy_guards_the_finalizers_of_the_program() -> None:
    (policy,) = installation.documents("policies/policy.yaml")
    (freed,) = (it for it in policy["spec"]["variables"] if it["name"] == "freedFrom")
    assert re.findall(r"'(\S+/\S+)'", freed["expression"]) == list(names.FINALIZERS)


def test_pod_has_longer_to_end_than_its_work() -> None:
    (deployment,) = installation.documents("controller/deployment.yaml")
    grace_s = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s >= settings.Controller().shutdown_grace + 10


def test_chart_knows_how_long_work_has_to_end() -> None:
    checks = (chart.CHART / "templates" / "checks.yaml").read_text("utf-8")
    (said,) = re.findall(r'dig "shutdownGrace" "(\w+)"', checks)
    assert duration.parse(said) == settings.Controller().shutdown_grace


def test_single_replica_can_be_drained_away() -> None:
    """As in the overlay for kind, and with `replicas: 1` of the chart."""
    (budget,) = installation.documents("controller/disruption.yaml")
    assert "minAvailable" not in budget["spec"]
    assert budget["spec"]["maxUnavailable"] == 1


def policies() -> list[Any]:
    return installation.documents("controller/network.yaml")


def test_name_server_is_reached_wherever_a_cluster_has_it() -> None:
    """kube-dns, OpenShift's, which listens on 5353, and the one of the node itself."""
    (rule,) = (it for it in policies()[0]["spec"]["egress"] if "to" not in it)
    allowed = {(it["protocol"], it["port"]) for it in rule["ports"]}
    assert allowed == {("UDP", 53), ("TCP", 53), ("UDP", 5353), ("TCP", 5353)}


def test_api_server_is_reached_by_a_policy_of_its_own() -> None:
    first, second = policies()
    assert second["spec"]["podSelector"] == first["spec"]["podSelector"]
    (rule,) = second["spec"]["egress"]
    assert [it["port"] for it in rule["ports"]] == [443, 6443, 8443, 16443]


def test_prometheus_shows_the_token_of_who_may_read_metrics_alone() -> None:
    (monitor,) = installation.documents("monitoring/servicemonitor.yaml")
    (endpoint,) = monitor["spec"]["endpoints"]
    account, secret, binding = installation.documents("monitoring/access.yaml")
    assert endpoint["authorization"]["credentials"] == {
        "name": secret["metadata"]["name"], "key": "token",
    }  # fmt: skip
    assert "bearerTokenFile" not in endpoint
    assert secret["metadata"]["namespace"] == monitor["metadata"]["namespace"]
    name = account["metadata"]["name"]
    assert secret["metadata"]["annotations"] == {"kubernetes.io/service-account.name": name}
    assert [it["name"] for it in binding["subjects"]] == [name]
    assert binding["roleRef"]["name"] == "workflowexecution-metrics-reader"


def test_tables_of_the_security_posture_are_current() -> None:
    text = posture.DOCUMENT.read_text("utf-8")
    assert posture.written(text) == text
    assert all(posture.rendered(who) in text for who in posture.TABLES)


def test_chart_is_written_from_the_manifests_as_they_are(tmp_path: Path) -> None:
    chart.write(tmp_path)
    assert chart.written(tmp_path) == chart.written() == chart.files()


def test_chart_is_written_without_what_is_no_manifest_any_more(tmp_path: Path) -> None:
    chart.write(tmp_path)
    (tmp_path / "templates" / "by-hand.yaml").write_text("# mine")
    former = tmp_path / "templates" / "rbac-former.yaml"
    former.write_text((tmp_path / "templates" / "rbac-runner.yaml").read_text("utf-8"))
    chart.write(tmp_path)
    assert not former.exists()
    assert (tmp_path / "templates" / "by-hand.yaml").exists()


def test_configuration_of_the_chart_is_that_of_the_manifests() -> None:
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text("utf-8"))
    (made,) = installation.documents("controller/config.yaml")
    assert values["config"] == yaml.safe_load(made["data"]["config.yaml"])


def test_chart_without_a_tag_runs_the_version_that_it_has_one_for() -> None:
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text("utf-8"))
    about = yaml.safe_load((chart.CHART / "Chart.yaml").read_text("utf-8"))
    (image,) = installation.documents("default/kustomization.yaml")[0]["images"]
    assert values["image"]["repository"] == image["name"] == chart.IMAGE
    assert values["image"]["tag"] == image["newTag"] == about["appVersion"]


def test_chart_cannot_be_written_from_a_manifest_that_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation, "MANIFESTS", tmp_path)
    (tmp_path / "controller").mkdir()
    (tmp_path / "controller" / "deployment.yaml").write_text("replicas: 3")
    with pytest.raises(ValueError, match="replicas: 2"):
        chart.files()


def test_chart_cannot_be_written_from_a_deployment_without_resources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = installation.MANIFESTS / "controller" / "deployment.yaml"
    text = manifest.read_text("utf-8").replace("resources:", "means:")
    monkeypatch.setattr(installation, "MANIFESTS", tmp_path)
    (tmp_path / "controller").mkdir()
    (tmp_path / "controller" / "deployment.yaml").write_text(text)
    with pytest.raises(ValueError, match="'resources' is there 0 times"):
        chart.files()
