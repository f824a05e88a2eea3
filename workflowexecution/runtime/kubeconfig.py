"""Kubeconfig files: which cluster and user a context means, and what of them is refused.

Source: kubernetes.io/docs/reference/config-api/kubeconfig.v1; client-go, tools/clientcmd.
"""

import base64
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from workflowexecution.runtime import errors, kubelibrary, resource

_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")
_TEXTS = ("server", "tls-server-name", "proxy-url")
_AUTHORIZED = ("token", "tokenFile", "username", "exec", "auth-provider")
"""What of a user fills the one header of a request that a user in the server's URL would fill."""

_EXTENSION = "client.authentication.k8s.io/exec"


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A cluster or a user.

    Attributes:
        fields: as in the file; a user's may be changed before the library reads them.
        folder: of its file, where relative paths begin.
    """

    fields: dict[str, Any]
    folder: str


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """What a context means."""

    cluster: Section
    user: Section


def merge(paths: str) -> Any:  # noqa: ANN401 - a class of the untyped library
    """Read the files that exist, the first definition of a name winning; an empty one has none.

    Raises:
        errors.ConnectionConfigError: none exists, or all are empty, or one is no mapping.
        OSError: one cannot be read.
        yaml.YAMLError: one is not YAML.
    """
    files = (pathlib.Path(path).expanduser() for path in paths.split(":") if path)
    found = [it for it in files if it.exists()]
    if not found:
        message = f"kubeconfig not found: {paths}"
        raise errors.ConnectionConfigError(message)
    filled = [str(it) for it in found if _is_filled(it)]
    if not filled:
        message = f"kubeconfig {paths} is empty"
        raise errors.ConnectionConfigError(message)
    return kubelibrary.load().kube_config.KubeConfigMerger(":".join(filled))


def current_context(files: Mapping[str, Any]) -> str:
    """Return the current context of the first file that names one, as kubectl does.

    Raises:
        errors.ConnectionConfigError: none does.
    """
    for content in files.values():
        if content.get("current-context"):
            return str(content["current-context"])
    message = "the kubeconfig names no current context"
    raise errors.ConnectionConfigError(message)


def choose(merged: Mapping[str, Any], context: str) -> Chosen:
    """Return the context's cluster and user.

    Raises:
        errors.ConnectionConfigError: there is none, or it asks for what is not done here.
    """
    for entry in merged["contexts"]:
        if entry["name"] == context:
            named = entry.value["context"]
            cluster = _section(merged["clusters"], "cluster", named.get("cluster"))
            user = _section(merged["users"], "user", named.get("user"))
            if cluster is not None and user is not None:
                _check(cluster, user)
                return Chosen(cluster, user)
    message = f"the kubeconfig has no context {context} with a cluster and a user"
    raise errors.ConnectionConfigError(message)


def flag_of(fields: Mapping[str, Any], name: str) -> bool:
    """Read what is true or false; not given is false.

    Raises:
        errors.ConnectionConfigError: it is neither; a text would count as true, whatever it says.
    """
    value = fields.get(name)
    if not isinstance(value, bool | None):
        message = f"{name} of the kubeconfig must be true or false, without quotes"
        raise errors.ConnectionConfigError(message)
    return bool(value)


def describe(cluster: Section) -> resource.JsonObject:
    """Say of a cluster what a credential plugin is told that asks for it.

    Raises:
        OSError: the file of its authority cannot be read.

    Source: client-go, pkg/apis/clientauthentication, Cluster.
    """
    fields = cluster.fields
    told: dict[str, Any] = {"server": fields.get("server", "")}
    told |= {name: fields[name] for name in ("tls-server-name", "proxy-url") if fields.get(name)}
    if flag_of(fields, "insecure-skip-tls-verify"):
        told["insecure-skip-tls-verify"] = True
    authority = fields.get("certificate-authority-data")
    if not authority and fields.get("certificate-authority"):
        file = pathlib.Path(cluster.folder, fields["certificate-authority"])
        authority = base64.standard_b64encode(file.read_bytes()).decode()
    if authority:
        told["certificate-authority-data"] = authority
    for extension in fields.get("extensions") or ():
        if extension["name"] == _EXTENSION:
            told["config"] = extension["extension"]
    return told


def _is_filled(file: pathlib.Path) -> bool:
    """Whether something is in a file, which the library takes for granted.

    Raises:
        errors.ConnectionConfigError: that is no mapping.
    """
    if not file.is_file():
        # A pipe can be read once, and others say themselves why they cannot be.
        return True
    # Of a stream an error quotes nothing, which might be a secret.
    with file.open("rb") as stream:
        content = yaml.safe_load(stream)
    if not isinstance(content, dict | None):
        message = f"kubeconfig {file} holds no mapping"
        raise errors.ConnectionConfigError(message)
    return bool(content)


def _section(entries: Any, kind: str, name: object) -> Section | None:  # noqa: ANN401 - the library's
    for entry in entries:
        if entry["name"] == name:
            given = entry.value.get(kind) or {}
            # What is null is not given, which the library does not know.
            fields = entry.value[kind] = {it: given[it] for it in given if given[it] is not None}
            return Section(fields, str(pathlib.Path(entry.path).absolute().parent))
    return None


def _check(cluster: Section, user: Section) -> None:
    """Refuse what would be done in another way than it says.

    Raises:
        errors.ConnectionConfigError: there is such a thing.
    """
    flag_of(cluster.fields, "insecure-skip-tls-verify")
    for name in _TEXTS:
        if not isinstance(cluster.fields.get(name), str | None):
            message = f"{name} of the kubeconfig must be a text"
            raise errors.ConnectionConfigError(message)
    if "@" in cluster.fields.get("server", "").partition("://")[2].partition("/")[0]:
        for name in filter(user.fields.get, _AUTHORIZED):
            message = f"server of the kubeconfig has a user, which goes with no {name}"
            raise errors.ConnectionConfigError(message)
    for name in _IMPERSONATION:
        if user.fields.get(name):
            message = f"the kubeconfig's user has {name}: to act as another is not supported"
            raise errors.ConnectionConfigError(message)
