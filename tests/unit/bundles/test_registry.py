from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.unit.bundles import collector
from tests.unit.runtime import authority
from workflowexecution.bundles import credentials, errors, image, reference, registry

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = credentials.Login("carol", "secret")
PIPELINE = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "workflow"}}
PACKED = image.build([PIPELINE])


def push(there: collector.Registry, *, tag: str = "v1", known: bool = True) -> None:
    where = reference.Reference(there.host, "workflows/restart", tag)
    access = registry.Access(login=LOGIN if known else None)
    registry.Registry(where, access).push(PACKED)


def test_push_leaves_blobs_and_manifest(there: collector.Registry) -> None:
    push(there)
    assert there.manifests == {"v1": PACKED.manifest}
    assert there.blobs == dict(PACKED.blobs)


def test_push_without_tag_is_named_by_its_digest(there: collector.Registry) -> None:
    push(there, tag="")
    assert list(there.manifests) == [PACKED.digest]


def test_push_sends_nothing_twice(there: collector.Registry) -> None:
    push(there)
    push(there, tag="v2")
    uploads = [call for call in there.calls if call[0] == "POST"]
    assert len(uploads) == len(PACKED.blobs)


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_push_proves_who_it_is_when_it_is_asked(there: collector.Registry, scheme: str) -> None:
    there.scheme, there.wanted = scheme, LOGIN.basic
    push(there)
    assert there.manifests == {"v1": PACKED.manifest}
    asked = [call for call in there.calls if call[1] == "/token"]
    assert len(asked) == (scheme == "Bearer")


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_push_says_who_was_refused(there: collector.Registry, scheme: str) -> None:
    there.scheme, there.wanted = scheme, "somebody else"
    with pytest.raises(errors.RegistryError, match=r"401 \(as carol; `docker login 127"):
        push(there)
    with pytest.raises(errors.RegistryError, match="as nobody"):
        push(there, known=False)


def test_push_says_what_the_registry_says(there: collector.Registry) -> None:
    there.broken = True
    with pytest.raises(errors.RegistryError, match="answers PUT with 500: no room"):
        push(there)


def test_push_says_that_nobody_answers() -> None:
    where = reference.Reference("127.0.0.1:1", "workflows/restart", "v1")
    with pytest.raises(errors.RegistryError, match=r"127\.0\.0\.1:1 cannot be reached"):
        registry.Registry(where, registry.Access()).push(PACKED)


def test_push_speaks_tls_elsewhere(tmp_path: Path) -> None:
    where = reference.Reference(f"{collector.ELSEWHERE}:1", "workflows/restart", "v1")
    missing = tmp_path / "ca.pem"
    with pytest.raises(errors.RegistryError, match="No such file"):
        registry.Registry(where, registry.Access(ca_file=missing)).push(PACKED)
    with pytest.raises(errors.RegistryError, match="refused"):
        registry.Registry(where, registry.Access()).push(PACKED)


def test_push_trusts_an_authority_without_the_extensions_that_strict_checks_ask_for(
    tmp_path: Path,
) -> None:
    issuer = authority.Authority(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*issuer.issue("registry", collector.ELSEWHERE))
    with collector.running(collector.Registry(), serving) as there:
        where = reference.Reference(there.host, "workflows/restart", "v1")
        registry.Registry(where, registry.Access(ca_file=issuer.ca)).push(PACKED)
    assert there.manifests == {"v1": PACKED.manifest}


def docker_config(folder: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> None:
    (folder / "config.json").write_text(
        content if isinstance(content, str) else json.dumps(content)
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


def test_login_is_what_docker_has_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {"auths": {"registry.example": {"auth": LOGIN.basic.removeprefix("Basic ")}}}
    docker_config(tmp_path, monkeypatch, stored)
    assert credentials.find("registry.example") == LOGIN
    assert credentials.find("docker.io") is None


def test_login_is_nobody_where_docker_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert credentials.find("registry.example") is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "config.json: Expecting"),
        ("[]", "config.json: an object is wanted"),
        ("null", "config.json: an object is wanted"),
        ('"x"', "config.json: an object is wanted"),
        ({"auths": []}, "config.json: auths is not an object"),
        ({"auths": {"r.example": 5}}, "config.json: auths.r.example is not an object"),
        ({"auths": {"r.example": {"auth": 5}}}, "config.json: auths.r.example.auth is not text"),
        ({"auths": {"r.example": {"auth": "%"}}}, "is not base64"),
        ({"auths": {"r.example": {"auth": "\u00e4"}}}, "is not base64"),
        ({"credHelpers": []}, "config.json: credHelpers is not an object"),
        ({"credHelpers": {"r.example": {}}}, "config.json: credHelpers.r.example is not text"),
        ({"credsStore": 5}, "config.json: credsStore is not text"),
    ],
)
def test_login_names_the_file_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, says: str
) -> None:
    docker_config(tmp_path, monkeypatch, content)
    with pytest.raises(errors.RegistryError, match=says):
        credentials.find("r.example")


@pytest.mark.parametrize(
    "content",
    [
        {"auths": None},
        {"auths": {"r.example": None}},
        {"auths": {"r.example": {"auth": None}}},
        {"credHelpers": None, "credsStore": None},
        {"credHelpers": {"r.example": None}},
    ],
)
def test_login_is_nobody_where_docker_has_left_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    docker_config(tmp_path, monkeypatch, content)
    assert credentials.find("r.example") is None


@pytest.mark.parametrize("answer", ["[]", "{}", '{"Username": 5, "Secret": "s"}', "null", "{"])
def test_login_says_that_a_helper_answers_oddly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    program = tmp_path / "docker-credential-odd"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker_config(tmp_path, monkeypatch, {"credsStore": "odd"})
    with pytest.raises(errors.RegistryError, match="docker-credential-odd"):
        credentials.find("r.example")


HELPER = """#!/bin/sh
read host
test "$host" = registry.example || exit 1
echo '{"Username": "carol", "Secret": "secret"}'
"""


def test_login_comes_from_a_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-credential-keeper"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker_config(tmp_path, monkeypatch, {"credHelpers": {"registry.example": "keeper"}})
    assert credentials.find("registry.example") == LOGIN
    docker_config(tmp_path, monkeypatch, {"credsStore": "keeper"})
    assert credentials.find("other.example") is None
    docker_config(tmp_path, monkeypatch, {"credsStore": "nobody"})
    with pytest.raises(errors.RegistryError, match="docker-credential-nobody"):
        credentials.find("registry.example")
