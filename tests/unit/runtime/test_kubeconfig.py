"""What a kubeconfig asks for is done, or refused at the start."""

import base64
import json
import os
import pathlib
from typing import Any

import pytest
import structlog.testing

from tests.unit.runtime import servers
from workflowexecution.runtime import connection, credentials, errors

PLUGIN_API = "client.authentication.k8s.io/v1"


class Folder:
    """Where a kubeconfig and its plugin lie."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    async def connect(
        self, user: dict[str, object] | None = None, server: str = "https://one", **cluster: object
    ) -> connection.Connection:
        file = self.path / "config"
        named = {name.replace("_", "-"): value for name, value in cluster.items()}
        file.write_text(json.dumps(servers.kubeconfig(server, user, **named)))
        return await connection.connect(kubeconfig=str(file), environ={"PATH": "/usr/bin:/bin"})

    def plugin(self, status: dict[str, object], **section: object) -> dict[str, object]:
        """Write a plugin that answers with a status, and keeps what it is told."""
        answer = json.dumps({"apiVersion": PLUGIN_API, "kind": "ExecCredential", "status": status})
        told = self.path / "told"
        script = (
            f"#!/bin/sh\necho \"$KUBERNETES_EXEC_INFO\" > '{told}'\ncat <<'END'\n{answer}\nEND\n"
        )
        file = self.path / "plugin"
        file.write_text(script)
        file.chmod(0o755)
        return {"exec": {"apiVersion": PLUGIN_API, "command": "./plugin", **section}}

    def told(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads((self.path / "told").read_text())["spec"]


def read(file: str) -> str:
    return pathlib.Path(file).read_text()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "is empty", id="nothing"),
        pytest.param("# to come\n---\n", "is empty", id="comment"),
        pytest.param("{}", "is empty", id="no-key"),
        pytest.param("[]", "holds no mapping", id="list"),
        pytest.param("apiVersion", "holds no mapping", id="text"),
    ],
)
async def test_file_without_a_mapping_is_called_so(folder: Folder, text: str, says: str) -> None:
    file = folder.path / "config"
    file.write_text(text)
    with pytest.raises(errors.ConnectionConfigError, match=f"^kubeconfig {file} {says}$"):
        await connection.connect(kubeconfig=str(file), environ={})


async def test_empty_file_beside_another_has_nothing_to_add(folder: Folder) -> None:
    await folder.connect()
    (folder.path / "empty").write_text("")
    both = f"{folder.path / 'empty'}:{folder.path / 'config'}"
    way = await connection.connect(kubeconfig="", environ={"KUBECONFIG": both})
    assert way.server == "https://one"


async def test_file_that_can_be_read_once_is_taken(folder: Folder) -> None:
    content = json.dumps(servers.kubeconfig("https://one", None)).encode()
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    way = await connection.connect(kubeconfig=f"/dev/fd/{reader}", environ={})
    os.close(reader)
    assert way.server == "https://one"


@pytest.mark.parametrize("value", ["false", "true", 0, 1, []])
async def test_verification_is_turned_off_by_a_boolean_alone(folder: Folder, value: object) -> None:
    with pytest.raises(errors.ConnectionConfigError, match="insecure-skip-tls-verify of the kube"):
        await folder.connect(insecure_skip_tls_verify=value)


@pytest.mark.parametrize(
    ("value", "verifies"), [(False, True), (True, False), (None, True)], ids=str
)
async def test_verification_is_as_the_cluster_says(
    folder: Folder, value: bool | None, verifies: bool
) -> None:
    way = await folder.connect(insecure_skip_tls_verify=value)
    assert bool(way.configuration.verify_ssl) is verifies


async def test_text_of_the_cluster_that_is_none_is_refused(folder: Folder) -> None:
    with pytest.raises(
        errors.ConnectionConfigError, match="tls-server-name of the kubeconfig must"
    ):
        await folder.connect(tls_server_name=3)
    with pytest.raises(errors.ConnectionConfigError, match="proxy-url of the kubeconfig must be a"):
        await folder.connect(proxy_url=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("as", "system:admin"),
        ("as-uid", "u"),
        ("as-groups", ["system:masters"]),
        ("as-user-extra", {"scopes": ["a"]}),
    ],
    ids=str,
)
async def test_acting_as_another_is_refused(folder: Folder, name: str, value: object) -> None:
    with pytest.raises(errors.ConnectionConfigError, match=f"user has {name}: to act as another"):
        await folder.connect({"token": "t", name: value})


@pytest.mark.parametrize("name", ["token", "tokenFile", "username", "exec", "auth-provider"])
async def test_a_user_in_the_address_of_the_server_goes_with_no_other_one(
    folder: Folder, name: str
) -> None:
    server = "https://jane:hidden@one"
    with pytest.raises(errors.ConnectionConfigError, match=f"goes with no {name}$") as caught:
        await folder.connect({name: "given"}, server=server)
    assert "hidden" not in str(caught.value)
    assert (await folder.connect({}, server=server)).server == server


async def test_what_is_null_is_not_given(folder: Folder) -> None:
    user: dict[str, object] = {"token": "t", "tokenFile": None, "exec": None, "as": None}
    way = await folder.connect(user | {"client-certificate": None}, tls_server_name=None)
    assert await way.credentials.authorization() == "Bearer t"
    assert not way.configuration.tls_server_name


async def test_acting_as_nobody_is_taken(folder: Folder) -> None:
    way = await folder.connect({"token": "t", "as": "", "as-groups": []})
    assert await way.credentials.authorization() == "Bearer t"


async def test_plugin_is_told_of_the_cluster_when_it_asks(folder: Folder) -> None:
    (folder.path / "ca.crt").write_text("authority")
    await folder.connect(
        folder.plugin({"token": "t"}, provideClusterInfo=True),
        certificate_authority="ca.crt",
        insecure_skip_tls_verify=True,
        tls_server_name="name",
        proxy_url="http://p:1",
        extensions=[
            {"name": "other", "extension": 1},
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}},
        ],
    )
    assert folder.told() == {
        "interactive": False,
        "cluster": {
            "server": "https://one",
            "certificate-authority-data": base64.b64encode(b"authority").decode(),
            "insecure-skip-tls-verify": True,
            "tls-server-name": "name",
            "proxy-url": "http://p:1",
            "config": {"audience": "a"},
        },
    }


async def test_plugin_is_told_no_more_of_the_cluster_than_there_is(folder: Folder) -> None:
    user = folder.plugin({"token": "t"}, provideClusterInfo=True)
    await folder.connect(user, server="http://one")
    assert folder.told()["cluster"] == {"server": "http://one"}


async def test_inline_authority_goes_before_its_file_when_a_plugin_is_told(folder: Folder) -> None:
    inline = base64.b64encode(b"inline").decode()
    user = folder.plugin({"token": "t"}, provideClusterInfo=True)
    await folder.connect(user, certificate_authority_data=inline, certificate_authority="gone")
    assert folder.told()["cluster"]["certificate-authority-data"] == inline


async def test_plugin_that_asks_hears_of_no_authority_whose_file_is_gone(folder: Folder) -> None:
    user = folder.plugin({"token": "t"}, provideClusterInfo=True)
    with pytest.raises(errors.ConnectionConfigError, match=r"cannot be used: .*No such file"):
        await folder.connect(user, certificate_authority="gone")


@pytest.mark.parametrize("section", [{}, {"provideClusterInfo": False}], ids=str)
async def test_plugin_that_does_not_ask_is_told_nothing(
    folder: Folder, section: dict[str, object]
) -> None:
    await folder.connect(folder.plugin({"token": "t"}, **section))
    assert folder.told() == {"interactive": False}


async def test_plugin_asks_by_a_boolean_alone(folder: Folder) -> None:
    with pytest.raises(errors.ConnectionConfigError, match="provideClusterInfo of the kubeconfig"):
        await folder.connect(folder.plugin({"token": "t"}, provideClusterInfo="false"))


@pytest.mark.parametrize("token", [{}, {"token": None}], ids=["no-token", "null"])
async def test_plugins_certificate_that_expires_is_told_not_to_be_renewed(
    folder: Folder, token: dict[str, object]
) -> None:
    status: dict[str, object] = {"clientCertificateData": "c", "clientKeyData": "k", **token}
    status["expirationTimestamp"] = "2026-03-01T00:00:00Z"
    with structlog.testing.capture_logs() as logs:
        way = await folder.connect(folder.plugin(status))
    assert isinstance(way.credentials, credentials.Fixed)
    assert read(way.configuration.cert_file) == "c"
    assert read(way.configuration.key_file) == "k"
    (line,) = logs
    assert (line["log_level"], line["expires_at"]) == ("warning", "2026-03-01T00:00:00+00:00")
    assert "is not renewed: restart before it expires" in line["event"]


async def test_plugins_certificate_beside_a_token_leaves_the_token_renewed(folder: Folder) -> None:
    status: dict[str, object] = {"clientCertificateData": "c", "clientKeyData": "k", "token": "t"}
    with structlog.testing.capture_logs() as logs:
        way = await folder.connect(folder.plugin(status))
    assert isinstance(way.credentials, credentials.FetchedToken)
    assert await way.credentials.authorization() == "Bearer t"
    assert read(way.configuration.cert_file) == "c"
    assert logs == []


async def test_null_certificate_beside_a_token_is_none(folder: Folder) -> None:
    status: dict[str, object] = {"clientCertificateData": None, "clientKeyData": "", "token": "t"}
    way = await folder.connect(folder.plugin(status))
    assert await way.credentials.authorization() == "Bearer t"
    assert not way.configuration.cert_file


@pytest.mark.parametrize(
    ("status", "message"),
    [
        pytest.param({"clientCertificateData": "c"}, "without its key", id="no-key"),
        pytest.param({"clientKeyData": "k", "token": "t"}, "without its key", id="key-alone"),
        pytest.param(
            {"clientCertificateData": "c", "clientKeyData": 3}, "without its key", id="odd-key"
        ),
        pytest.param(
            {"clientCertificateData": 3, "clientKeyData": "k"}, "without its key", id="odd"
        ),
        pytest.param(
            {"clientCertificateData": "c", "clientKeyData": "k", "expirationTimestamp": "soon"},
            "an expiry that is not a time",
            id="odd-expiry",
        ),
    ],
)
async def test_plugins_certificate_that_is_odd_is_refused(
    folder: Folder, status: dict[str, object], message: str
) -> None:
    with pytest.raises(errors.ConnectionConfigError, match=message):
        await folder.connect(folder.plugin(status))
