"""A small client of the apiserver, for the stack's own set-up and readiness checks."""

import http.client
import json
import ssl
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.stack import errors

JsonObject = dict[str, Any]

# How long a readiness check waits for an answer before it counts as none.
PROBE_TIMEOUT_S = 2.0


class ApiFailure(errors.StackError):
    """The apiserver refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Requests to one apiserver as one user; each opens a connection of its own."""

    def __init__(self, *, server_url: str, ca_file: Path, token: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._netloc = urllib.parse.urlsplit(server_url).netloc
        self._ca_file = ca_file
        self._token = token
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def call(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer.

        Raises:
            OSError: The apiserver cannot be reached, or does not answer in time.
        """
        headers = {
            "Authorization": f"Bearer {self._token}",
            "User-Agent": "workflowexecution-stack",
        }
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        context = ssl.create_default_context(cafile=str(self._ca_file))
        connection = http.client.HTTPSConnection(
            self._netloc, timeout=self._timeout_s, context=context
        )
        try:
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def json(self, method: str, path: str, body: object = None, **options: str) -> JsonObject:
        """Return the answer as JSON.

        Raises:
            ApiFailure: The status is not a success.
        """
        status, content = self.call(method, path, body, **options)
        if status >= http.client.BAD_REQUEST:
            text = content.decode(errors="replace")
            raise ApiFailure(status, f"{method} {path} answered {status}: {text[:2000]}")
        answer: JsonObject = json.loads(content)
        return answer

    def exists(self, path: str) -> bool:
        """Tell whether an object is there."""
        status, _ = self.call("GET", path)
        return status < http.client.BAD_REQUEST

    def apply(self, manifest: Mapping[str, Any], *, query: str = "") -> JsonObject:
        """Create or update an object by server-side apply.

        Raises:
            ApiFailure: The apiserver refused it.
        """
        version, kind = manifest["apiVersion"], manifest["kind"]
        plural, namespaced = self._resource(version, kind)
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        metadata = manifest["metadata"]
        if namespaced:
            prefix += f"/namespaces/{metadata.get('namespace', 'default')}"
        path = f"{prefix}/{plural}/{metadata['name']}?fieldManager=stack&force=true{query}"
        return self.json("PATCH", path, manifest, content_type="application/apply-patch+yaml")

    def _resource(self, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._plurals:
            prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
            for resource in self.json("GET", prefix)["resources"]:
                if "/" not in resource["name"]:
                    found = (resource["name"], resource["namespaced"])
                    self._plurals[version, resource["kind"]] = found
        try:
            return self._plurals[version, kind]
        except KeyError:
            raise errors.StackError(f"the apiserver does not serve {kind} in {version}") from None


def answers(url: str, ca_file: Path | None = None) -> str | None:
    """Return None if a GET succeeds in time, else what was wrong, for readiness checks."""
    parts = urllib.parse.urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        connection = http.client.HTTPSConnection(
            parts.netloc, timeout=PROBE_TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", parts.path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    finally:
        connection.close()
    return None if status < http.client.BAD_REQUEST else f"{url} answered {status}"


def wait_for(what: str, missing: Callable[[], str | None], *, deadline_s: float) -> None:
    """Poll until `missing` returns None.

    Raises:
        NotReady: It still returned something at the deadline.
    """
    deadline = time.monotonic() + deadline_s
    while (found := missing()) is not None:
        if time.monotonic() > deadline:
            raise errors.NotReady(f"{what} not ready after {deadline_s:.0f} s: {found}")
        time.sleep(0.1)
