"""The metrics, read by a real Prometheus whose right to do so a real API server judges."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.leaders import Leaders
from tests.stack.api import wait_for
from tests.support import program, prometheus
from tests.unit.runtime.authority import Authority
from workflowexecution.adapters.prometheus import outcomes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.controllers import Controllers
    from tests.stack.cluster import Stack

NAMESPACE = "monitoring"
ROLE = "metrics-reader"
BUILD_INFO = "workflowexecution_build_info{"


@pytest.fixture(scope="module")
def tokens(stack: Stack) -> dict[str, str]:
    """Tokens of two service accounts: `reader` may get /metrics, `stranger` may not."""
    apply = stack.api.apply
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    group = "rbac.authorization.k8s.io"
    apply({
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": ROLE},
        "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
    })
    account = {"kind": "ServiceAccount", "name": "reader", "namespace": NAMESPACE}
    apply({
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ROLE},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": ROLE},
        "subjects": [account],
    })
    found = {name: token_of(stack, name) for name in ("reader", "stranger")}
    wait_for(
        "role", lambda: prometheus.lacks(stack, found["reader"]), deadline_s=prometheus.READY_S
    )
    return found


def token_of(stack: Stack, account: str) -> str:
    metadata = {"name": account, "namespace": NAMESPACE}
    stack.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(stack.api.json("POST", path, body)["status"]["token"])


def read(port: int, token: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def job(name: str, port: int, token_file: Path | None, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    authorization = {"authorization": {"credentials_file": str(token_file)}} if token_file else {}
    targets = [{"targets": [f"127.0.0.1:{port}"]}]
    return {"job_name": name, "static_configs": targets, **authorization, **more}


async def finish_one(controllers: Controllers, name: str) -> None:
    world = controllers.world
    await world.create(world.execution(name))
    status = await world.phase(name, "Running")
    run = await world.play(status)
    await run.end()
    await world.phase(name, "Completed")


@pytest.mark.requirement(
    "WE-SERVICE", "Health/Ready Port: 8081 (/health, /ready - no auth required)"
)
@pytest.mark.requirement("WE-SERVICE", "Metrics Port: 9090 (/metrics - with auth filter)")
async def test_metrics_are_read_with_the_token_of_an_account_that_may(
    controllers: Controllers, tokens: dict[str, str]
) -> None:
    port = program.free_port()
    async with controllers.running(controller={"metricsAddr": f"127.0.0.1:{port}"}) as running:
        for path in ("/health", "/ready"):
            assert (await asyncio.to_thread(running.probe, path))[0] == 200
        answers = {
            "reader": await asyncio.to_thread(read, port, tokens["reader"]),
            "stranger": await asyncio.to_thread(read, port, tokens["stranger"]),
            "forged": await asyncio.to_thread(read, port, f"{tokens['reader']}x"),
            "none": await asyncio.to_thread(read, port),
        }
    assert {name: status for name, (status, _) in answers.items()} == {
        "reader": 200, "stranger": 403, "forged": 401, "none": 401,
    }  # fmt: skip
    assert "workflowexecution_total" in answers["reader"][1]


@pytest.mark.requirement("BR-WF-008", "Metrics exposed on /metrics endpoint")
@pytest.mark.requirement("BR-WF-008", "Metrics updated on execution completion")
@pytest.mark.requirement("BR-WF-008", "Labels include outcome and workflow_id")
@pytest.mark.requirement("BR-WF-008", "Duration histogram with appropriate buckets")
async def test_prometheus_scrapes_with_a_token_and_is_refused_without(
    controllers: Controllers, tokens: dict[str, str], tmp_path: Path
) -> None:
    port = program.free_port()
    files = {name: tmp_path / name for name in tokens}
    for name, file in files.items():
        file.write_text(tokens[name])
    jobs = [
        job("reader", port, files["reader"]),
        job("stranger", port, files["stranger"]),
        job("nobody", port, None),
    ]
    async with controllers.running(controller={"metricsAddr": f"127.0.0.1:{port}"}):
        with prometheus.running(tmp_path, jobs) as server:
            await finish_one(controllers, "counted")
            query = 'workflowexecution_total{outcome="Success",workflow_id!=""}'
            await asyncio.to_thread(server.until, lambda: server.values(query) == [1.0])
            query = 'count(workflowexecution_duration_seconds_bucket{outcome="Success"})'
            buckets = [len(outcomes.DURATION_BUCKETS_S) + 1]
            await asyncio.to_thread(server.until, lambda: server.values(query) == buckets)
            await asyncio.to_thread(
                server.until_scraped,
                {
                    "reader": ("up", ""),
                    "stranger": ("down", "server returned HTTP status 403 Forbidden"),
                    "nobody": ("down", "server returned HTTP status 401 Unauthorized"),
                },
            )


async def test_lease_metrics_and_every_line_of_the_log_carry_one_identity(
    controllers: Controllers,
) -> None:
    port, elected = program.free_port(), Leaders(controllers)
    own = {**elected.settings(), "metricsAddr": f"127.0.0.1:{port}", "metricsAuth": False}
    async with controllers.running(controller=own) as running:
        who = await elected.leader()
        text = (await asyncio.to_thread(read, port))[1]
        shown = next(line for line in text.splitlines() if line.startswith(BUILD_INFO))
    assert f'identity="{who}"' in shown
    assert {json.loads(it)["identity"] for it in running.log.read_text().splitlines()} == {who}


async def test_what_was_counted_before_prometheus_came_is_an_increase_and_a_fact_to_people(
    controllers: Controllers, tmp_path: Path
) -> None:
    port, name = program.free_port(), "workflowexecution_pipelinerun_creation_total"
    settings = {"metricsAddr": f"127.0.0.1:{port}", "metricsAuth": False}
    async with controllers.running(controller=settings):
        await finish_one(controllers, "early")
        read_at_once = (await asyncio.to_thread(read, port))[1]
        # The 0 is shown once: no scrape may come too late.
        patient = {"scrape_interval": "10s", "scrape_timeout": "10s"}
        with prometheus.running(tmp_path, [job("late", port, None, **patient)]) as server:
            await asyncio.to_thread(
                server.until, lambda: server.values(name) == [1.0], deadline_s=120
            )
            assert server.values(f"min_over_time({name}[5m])") == [0.0]
    assert f"{name} 1.0\n" in read_at_once


async def test_prometheus_scrapes_over_tls(
    controllers: Controllers, tokens: dict[str, str], tmp_path: Path
) -> None:
    port = program.free_port()
    authority = Authority(tmp_path)
    cert, key = map(str, authority.issue("metrics"))
    (tmp_path / "token").write_text(tokens["reader"])
    tls = {"scheme": "https", "tls_config": {"ca_file": str(authority.ca)}}
    settings = {
        "metricsAddr": f"127.0.0.1:{port}",
        "metricsTLS": {"certFile": cert, "keyFile": key},
    }
    async with controllers.running(controller=settings) as running:
        with prometheus.running(tmp_path, [job("tls", port, tmp_path / "token", **tls)]) as server:
            await asyncio.to_thread(server.until_scraped, {"tls": ("up", "")})
    assert "without TLS" not in running.log.read_text()


async def test_promtool_finds_nothing_wrong_with_the_metrics(controllers: Controllers) -> None:
    port = program.free_port()
    settings = {"metricsAddr": f"127.0.0.1:{port}", "metricsAuth": False}
    async with controllers.running(controller=settings):
        await finish_one(controllers, "linted")
        status, text = await asyncio.to_thread(read, port)
    assert status == 200
    assert prometheus.lint(text) == ""
    assert prometheus.lint("bad-name 1\n") != ""


async def test_program_does_not_start_with_a_certificate_that_cannot_be_used(
    controllers: Controllers, tmp_path: Path
) -> None:
    files = {"certFile": str(tmp_path / "cert"), "keyFile": str(tmp_path / "key")}
    async with controllers.running(ready=False, controller={"metricsTLS": files}) as started:
        assert await asyncio.to_thread(started.process.wait, 30) == 2
    assert "controller.metricsTLS: " in started.tail()
    assert files["certFile"] in started.tail()


async def test_certificate_is_followed_without_a_restart(
    controllers: Controllers, tmp_path: Path
) -> None:
    port = program.free_port()
    authority = Authority(tmp_path)
    first, second = authority.issue("first"), authority.issue("second")
    settings = {
        "metricsAddr": f"127.0.0.1:{port}",
        "metricsTLS": {"certFile": str(first[0]), "keyFile": str(first[1])},
    }
    async with controllers.running(controller=settings) as running:
        before = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
        wanted = second[0].read_text()
        second[0].replace(first[0])
        second[1].replace(first[1])
        await asyncio.to_thread(running.wait_line, "Certificate loaded again")
        after = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    assert before != wanted
    assert after == wanted
