"""A push is one only if the registry says so in the words of its specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.bundles import collector
from tests.unit.bundles.test_registry import LOGIN, PACKED
from workflowexecution.bundles import errors, reference, registry

if TYPE_CHECKING:
    from pathlib import Path


def push(there: collector.Registry) -> None:
    where = reference.Reference(there.host, "workflows/restart", "v1")
    registry.Registry(where, registry.Access(login=LOGIN)).push(PACKED)


@pytest.mark.parametrize("status", [200, 202, 204, 302, 308])
@pytest.mark.parametrize(
    ("method", "part"), [("POST", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/")]
)
def test_another_status_than_the_specification_has_is_a_refusal(
    there: collector.Registry, method: str, part: str, status: int
) -> None:
    if (method, status) == ("POST", 202):
        return
    there.scripted[method, part] = (status, {"Location": "/login?from=secret"}, b"")
    with pytest.raises(errors.RegistryError, match=f"answers {method} with {status}") as refused:
        push(there)
    assert (" and points to /login" in str(refused.value)) == (status >= 300)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("status", [200, 202])
def test_a_registry_that_names_what_it_has_taken_has_taken_it(
    there: collector.Registry, status: int
) -> None:
    there.scripted["PUT", "/manifests/"] = (status, {"Docker_Content_Digest": PACKED.digest}, b"")
    push(there)
    there.scripted["PUT", "/manifests/"] = (status, {"Docker_Content_Digest": "sha256:0"}, b"")
    with pytest.raises(errors.RegistryError, match=f"answers PUT with {status}, not with 201"):
        push(there)


def test_a_portal_that_answers_everything_with_200_has_taken_nothing(
    there: collector.Registry,
) -> None:
    there.scripted = {(method, "/"): (200, {}, b"hello") for method in ("HEAD", "POST", "PUT")}
    with pytest.raises(errors.RegistryError, match="answers PUT with 200, not with 201: hello"):
        push(there)


@pytest.mark.parametrize("status", [204, 302, 307, 400, 401, 403, 405, 500])
def test_a_blob_of_which_the_registry_does_not_tell_is_sent_again(
    there: collector.Registry, status: int
) -> None:
    there.scripted["HEAD", "/blobs/"] = (status, {"Location": "http://storage.example/1"}, b"")
    push(there)
    assert there.blobs == dict(PACKED.blobs)
    assert there.manifests == {"v1": PACKED.manifest}


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("", "no place to upload to"),
        ("http://[::1/x", r"'http://\[::1/x.*' is no address"),
        ("ftp://storage.example/1", "'ftp://storage.example/1.*' is no address"),
        ("http://localhost:port/", "nonnumeric port"),
        ("/v2/a b/uploads/1", "can't contain control characters"),
    ],
)
def test_a_place_that_cannot_be_uploaded_to_is_named(
    there: collector.Registry, location: str, says: str
) -> None:
    there.scripted["POST", "/uploads/"] = (202, {"Location": location}, b"")
    with pytest.raises(errors.RegistryError, match=says):
        push(there)


@pytest.mark.parametrize(
    ("challenge", "says"),
    [
        ('Bearer service="x"', "asks for a token, and does not say where to get one"),
        ('Bearer realm="http://[::1",service="x"', r"'http://\[::1.*' is no address"),
        ('Bearer realm="/token",service="x"', "'/token.*' is no address"),
        ('Bearer realm="http://localhost:port/"', "nonnumeric port"),
    ],
)
def test_a_giver_of_tokens_that_is_nowhere_is_named(
    there: collector.Registry, challenge: str, says: str
) -> None:
    there.scripted["HEAD", "/"] = (401, {"WWW_Authenticate": challenge}, b"")
    with pytest.raises(errors.RegistryError, match=says):
        push(there)


@pytest.mark.parametrize("body", [b'{"token": "a\\nb"}', b'{"token": 5}', b'["a"]', b"{", b"{}"])
def test_a_token_that_is_none_is_not_shown(there: collector.Registry, body: bytes) -> None:
    realm = f'Bearer realm="http://{there.host}/token"'
    for method in ("HEAD", "POST"):
        there.scripted[method, "/"] = (401, {"WWW_Authenticate": realm}, b"")
    there.scripted["GET", "/token"] = (200, {}, body)
    with pytest.raises(errors.RegistryError, match=r"answers POST with 401 \(as carol"):
        push(there)


def test_the_file_of_authorities_is_named(tmp_path: Path) -> None:
    where = reference.Reference(f"{collector.ELSEWHERE}:1", "workflows/restart", "v1")
    path = tmp_path / "ca.pem"
    for says in ("No such file", "certificate"):
        with pytest.raises(errors.RegistryError, match=rf"--ca-file {path}: .*{says}"):
            registry.Registry(where, registry.Access(ca_file=path)).push(PACKED)
        path.write_text("none\n")
