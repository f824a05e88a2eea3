"""Finding the way to the API server; what is found is proved by talking to a server."""

import asyncio
import base64
import json
import pathlib
import traceback
from collections.abc import Mapping
from typing import Any

import pytest
import structlog.testing

from tests.unit.runtime import servers
from workflowexecution.runtime import connection, credentials, errors, kubelibrary

SECRET = "do-not-show"
PLUGIN_API = "client.authentication.k8s.io/v1"


def write(path: pathlib.Path, content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def plugin(path: pathlib.Path, **status: object) -> dict[str, object]:
    """Write a plugin that answers with a status; returns the user section that names it."""
    answer = json.dumps({"apiVersion": PLUGIN_API, "kind": "ExecCredential", "status": status})
    write(path, f"#!/bin/sh\necho run >> '{path}.runs'\ncat <<'END'\n{answer}\nEND\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": PLUGIN_API, "command": f"./{path.name}"}}


def runs(path: pathlib.Path) -> int:
    return pathlib.Path(f"{path}.runs").read_text().count("run")


async def found(path: str, environ: Mapping[str, str] | None = None) -> connection.Connection:
    return await connection.connect(kubeconfig=path, environ=environ or {})


async def authorization(way: connection.Connection) -> str:
    return await way.credentials.authorization()


async def test_kubeconfig_gives_server_and_token(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "config", servers.kubeconfig("http://one:80/sub/", {"token": "t\n"}))
    way = await found(path)
    assert way.server == "http://one:80/sub"
    assert await authorization(way) == "Bearer t"


async def test_kubeconfig_gives_basic_authentication(tmp_path: pathlib.Path) -> None:
    user: dict[str, object] = {"username": "u", "password": "p"}
    way = await found(write(tmp_path / "config", servers.kubeconfig("http://one", user)))
    assert await authorization(way) == "Basic " + base64.b64encode(b"u:p").decode()


@pytest.mark.parametrize("token", ["a\nb", "a b", "a\0b", " "])
async def test_inline_token_that_no_header_holds_is_refused(
    tmp_path: pathlib.Path, token: str
) -> None:
    path = write(tmp_path / "config", servers.kubeconfig("http://one", {"token": token}))
    with pytest.raises(errors.ConnectionConfigError, match="the token of the kubeconfig's user"):
        await found(path)


async def test_provider_whose_next_token_no_header_holds_leaves_the_old_one_in_use(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user: dict[str, object] = {"auth-provider": {"name": "gcp", "config": {"access-token": "t"}}}
    way = await found(write(tmp_path / "config", servers.kubeconfig("http://one", user)))
    loader = kubelibrary.load().kube_config.KubeConfigLoader

    async def odd(_: object, configuration: Any) -> None:  # noqa: ANN401 - the library's
        await asyncio.sleep(0)
        configuration.api_key["BearerToken"] = "Bearer a\nb"

    monkeypatch.setattr(loader, "load_and_set", odd)
    assert not await way.credentials.renew("Bearer t")
    assert await authorization(way) == "Bearer t"


async def test_given_file_goes_before_the_environment(tmp_path: pathlib.Path) -> None:
    given = write(tmp_path / "given", servers.kubeconfig("http://given"))
    other = write(tmp_path / "other", servers.kubeconfig("http://other"))
    assert (await found(given, {"KUBECONFIG": other})).server == "http://given"


async def test_files_of_the_environment_are_merged_and_the_first_context_counts(
    tmp_path: pathlib.Path,
) -> None:
    first = servers.kubeconfig("http://unused")
    first["current-context"] = "there"
    second = json.loads(json.dumps(servers.kubeconfig("http://second")).replace("here", "there"))
    second["current-context"] = "nowhere"
    paths = [write(tmp_path / "a", first), str(tmp_path / "missing"), write(tmp_path / "b", second)]
    way = await connection.connect(environ={"KUBECONFIG": ":".join(["", *paths])})
    assert way.server == "http://unused"


async def test_home_file_is_used_when_nothing_else_is_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / ".kube" / "config", servers.kubeconfig("http://home"))
    assert (await connection.connect(environ={})).server == "http://home"


async def test_token_file_beside_the_kubeconfig_is_followed(tmp_path: pathlib.Path) -> None:
    token = tmp_path / "token"
    write(token, "one")
    user: dict[str, object] = {"tokenFile": "token", "token": "inline"}
    way = await found(write(tmp_path / "config", servers.kubeconfig("http://one", user)))
    assert await authorization(way) == "Bearer one"
    write(token, "two")
    assert await way.credentials.renew("Bearer one")


async def test_plugin_gives_the_token_and_is_run_again_when_it_is_rejected(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "plugin"
    user = plugin(path, token="first")
    way = await found(write(tmp_path / "config", servers.kubeconfig("http://one", user)))
    assert (await authorization(way), runs(path)) == ("Bearer first", 1)
    plugin(path, token="second")
    assert await way.credentials.renew("Bearer first")
    assert (await authorization(way), runs(path)) == ("Bearer second", 2)


async def test_plugin_that_fails_at_first_is_reported(tmp_path: pathlib.Path) -> None:
    user = plugin(tmp_path / "plugin")
    path = write(tmp_path / "config", servers.kubeconfig("http://one", user))
    with pytest.raises(errors.ConnectionConfigError, match="no token"):
        await found(path)


async def test_provider_is_asked_again_when_its_token_is_rejected(
    tmp_path: pathlib.Path,
) -> None:
    """The library's gcp provider takes the given token as long as it has not expired."""
    config = {"access-token": "first"}
    user: dict[str, object] = {"auth-provider": {"name": "gcp", "config": config}}
    way = await found(write(tmp_path / "config", servers.kubeconfig("http://one", user)))
    assert isinstance(way.credentials, credentials.FetchedToken)
    assert await authorization(way) == "Bearer first"
    assert not await way.credentials.renew("Bearer first")


def id_token(expires_at: int) -> str:
    """A token as far as the library reads it."""
    parts = ({"alg": "none"}, {"exp": expires_at}, SECRET)
    return ".".join(base64.urlsafe_b64encode(json.dumps(it).encode()).decode() for it in parts)


async def refuse(exchange: servers.Exchange) -> None:
    await exchange.reply(status=500)


async def hang_up(exchange: servers.Exchange) -> None:
    exchange.abort()


async def say_nothing(exchange: servers.Exchange) -> None:
    await exchange.reply({}, Content_Type="application/json")


@pytest.mark.looptime
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in the library's own requests
@pytest.mark.parametrize(
    ("handler", "why"),
    [
        pytest.param(refuse, "failed to query well-known metadata", id="refuses"),
        pytest.param(hang_up, "Server disconnected", id="hangs-up"),
        pytest.param(say_nothing, "KeyError while it was read", id="nonsense"),
        pytest.param(servers.Exchange.stay_silent, "does not answer", id="silent"),
    ],
)
async def test_provider_that_is_away_leaves_the_old_token_in_use(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    handler: servers.Handler,
    why: str,
) -> None:
    async with servers.serving(handler) as provider:
        config = {"id-token": id_token(4_000_000_000), "refresh-token": "r", "client-id": "me"}
        config |= {"client-secret": "s", "idp-issuer-url": provider.url}
        user: dict[str, object] = {"auth-provider": {"name": "oidc", "config": config}}
        way = await found(write(tmp_path / "config", servers.kubeconfig("http://one", user)))
        token = await authorization(way)
        monkeypatch.setattr(kubelibrary.load().kube_config, "_is_expired", lambda _: True)
        started = asyncio.get_running_loop().time()
        with structlog.testing.capture_logs() as logs:
            assert not await way.credentials.renew(token)
        assert asyncio.get_running_loop().time() - started <= credentials.FETCH_LIMIT_S
        assert await authorization(way) == token
    (line,) = logs
    assert (line["event"], why in line["error"]) == ("Credentials cannot be renewed", True)


async def test_service_account_is_used_in_a_pod(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    write(tmp_path / "token", "pod\n")
    write(tmp_path / "ca.crt", "certificate")
    environ = {"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "443"}
    way = await connection.connect(environ=environ)
    assert way.server == "https://[::1]:443"
    assert await authorization(way) == "Bearer pod"
    assert way.configuration.ssl_ca_cert == str(tmp_path / "ca.crt")
    with pytest.raises(errors.ConnectionConfigError, match="certificates cannot be loaded"):
        way.load_trust()


async def test_incomplete_service_account_is_reported(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    with pytest.raises(errors.ConnectionConfigError, match="service account"):
        await connection.connect(environ={"KUBERNETES_SERVICE_HOST": "one"})


def test_own_namespace_is_the_pods_and_empty_outside_of_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    assert connection.own_namespace({}) == ""
    assert connection.own_namespace({"POD_NAMESPACE": "said"}) == "said"
    write(tmp_path / "namespace", "mounted\n")
    assert connection.own_namespace({}) == "mounted"


BROKEN: dict[str, object] = {
    "empty": "",
    "text": SECRET,
    "not-yaml": f"{{{SECRET}: [",
    "list": [SECRET],
    "no-context": {"contexts": [], "users": [], "clusters": []},
    "unknown-context": {**servers.kubeconfig("http://x", {"token": SECRET}), "contexts": []},
    "no-users": {**servers.kubeconfig("http://x"), "users": []},
    "other-user": {**servers.kubeconfig("http://x"), "users": [{"name": "you", "user": SECRET}]},
    "no-clusters": {**servers.kubeconfig("http://x", {"token": SECRET}), "clusters": []},
    "no-cluster": {
        **servers.kubeconfig("http://x", {"token": SECRET}),
        "clusters": [{"name": "it", "token": SECRET}],
    },
    "no-server": servers.kubeconfig("", {"token": SECRET}),
    "bad-ca": servers.kubeconfig(
        "https://x", {"token": SECRET}, **{"certificate-authority-data": "abc"}
    ),
    "missing-ca": servers.kubeconfig(
        "https://x", {"token": SECRET}, **{"certificate-authority": "no"}
    ),
    "odd-user": servers.kubeconfig("https://x", {"exec": [SECRET]}),
    "oidc": servers.kubeconfig("https://x", {"auth-provider": {"name": "oidc", "x": SECRET}}),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_kubeconfig_is_reported_without_its_secrets(
    tmp_path: pathlib.Path, name: str
) -> None:
    path = write(tmp_path / "config", BROKEN[name])
    with pytest.raises(errors.ConnectionConfigError) as caught:
        await found(path)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_missing_kubeconfig_is_reported(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConnectionConfigError, match="not found"):
        await found(str(tmp_path / "missing"))


async def test_provider_that_does_not_answer_is_reported(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "FETCH_LIMIT_S", 0.0)
    path = write(tmp_path / "config", servers.kubeconfig("http://x", plugin(tmp_path / "p")))
    with pytest.raises(errors.ConnectionConfigError, match="does not answer"):
        await found(path)


@pytest.mark.parametrize(
    ("environ", "cluster", "expected"),
    [
        pytest.param({}, {}, {}, id="none"),
        pytest.param({"http_proxy": "http://p:1"}, {}, {"proxy": "http://p:1"}, id="environment"),
        pytest.param({"http_proxy": "http://p:1", "no_proxy": "one"}, {}, {}, id="excluded"),
        pytest.param(
            {"http_proxy": "http://p:1", "no_proxy": "one:80"}, {}, {}, id="excluded-with-its-port"
        ),
        pytest.param({"http_proxy": "p:1"}, {}, {"proxy": "http://p:1"}, id="no-scheme"),
        pytest.param(
            {"http_proxy": "http://p:1"},
            {"proxy-url": "http://q:2"},
            {"proxy": "http://q:2"},
            id="kubeconfig",
        ),
        pytest.param({}, {"tls-server-name": "n"}, {"server_hostname": "n"}, id="server-name"),
    ],
)
async def test_requests_take_proxy_and_server_name(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    cluster: dict[str, str],
    expected: dict[str, str],
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    config = servers.kubeconfig("http://one", None, **cluster)
    way = await found(write(tmp_path / "config", config))
    assert way.request_options() == expected


async def test_proxy_of_another_kind_is_refused(tmp_path: pathlib.Path) -> None:
    config = servers.kubeconfig("http://one", None, **{"proxy-url": "socks5://p:1"})
    way = await found(write(tmp_path / "config", config))
    with pytest.raises(errors.ConnectionConfigError, match="proxies"):
        way.request_options()
