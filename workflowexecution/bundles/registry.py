"""Pushing images to a registry.

Source: the distribution specification of the OCI, and docs/content/spec/auth of distribution for
tokens.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workflowexecution.bundles import credentials, errors, image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from workflowexecution.bundles.reference import Reference

TIMEOUT_S = 30.0
SHOWN_OF_ANSWER = 500
# docker.io is the name; this is the machine.
HUB = "registry-1.docker.io"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Access:
    """How a registry is reached.

    Attributes:
        plain_http: without TLS.
        ca_file: the certificates that are trusted; None takes the system's.
        login: who we are there; None is nobody.
    """

    plain_http: bool = False
    ca_file: Path | None = None
    login: credentials.Login | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry has answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Registry:
    """One registry, for one repository of it.

    A token is asked for when the registry wants one, and kept for the rest of the push.
    """

    where: Reference
    access: Access
    _authorization: str = field(default="", init=False)

    def push(self, packed: image.Image) -> None:
        """Push an image under the tag, or without a tag under its digest.

        Raises:
            RegistryError: the registry refuses, or cannot be reached.
        """
        for digest, content in packed.blobs.items():
            self._push_blob(digest, content)
        name = self.where.tag or packed.digest
        path = f"/v2/{self.where.repository}/manifests/{name}"
        self._call("PUT", path, packed.manifest, image.MANIFEST_TYPE)

    def _push_blob(self, digest: str, content: bytes) -> None:
        folder = f"/v2/{self.where.repository}/blobs"
        if self._ask("HEAD", f"{folder}/{digest}").status == http.HTTPStatus.OK:
            return
        answer = self._call("POST", f"{folder}/uploads/", b"")
        location = answer.headers.get("location", "")
        query = urllib.parse.urlencode({"digest": digest})
        place = f"{location}{'&' if '?' in location else '?'}{query}"
        self._call("PUT", place, content, "application/octet-stream")

    def _call(
        self, method: str, place: str, content: bytes, content_type: str | None = None
    ) -> Answer:
        answer = self._ask(method, place, content, content_type)
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            said = answer.body.decode(errors="replace")[:SHOWN_OF_ANSWER].strip()
            hint = ""
            if answer.status in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
                who = "nobody" if self.access.login is None else self.access.login.user
                hint = f" (as {who}; `docker login {self.where.host}` is read)"
            message = f"{self.where.host} answers {method} with {answer.status}{hint}: {said}"
            raise errors.RegistryError(message)
        return answer

    def _ask(
        self, method: str, place: str, content: bytes = b"", content_type: str | None = None
    ) -> Answer:
        answer = self._request(method, place, content, content_type)
        if answer.status == http.HTTPStatus.UNAUTHORIZED:
            self._authorization = self._prove(answer.headers.get("www-authenticate", ""))
            if self._authorization:
                answer = self._request(method, place, content, content_type)
        return answer

    def _prove(self, challenge: str) -> str:
        """The header that a registry wants to see; empty if we have nothing to show."""
        scheme, _, rest = challenge.partition(" ")
        login = self.access.login
        if scheme.lower() != "bearer":
            return login.basic if login else ""
        wanted = dict(_PARAMETER.findall(rest))
        realm = wanted.pop("realm", "")
        query = urllib.parse.urlencode(wanted)
        headers = {"Authorization": login.basic} if login else {}
        answer = self._send("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", b"", headers)
        try:
            document = json.loads(answer.body)
            return f"Bearer {document.get('token') or document['access_token']}"
        except (ValueError, KeyError, AttributeError):
            # Then the registry's own refusal says more than that of who gives tokens.
            return ""

    def _request(self, method: str, place: str, content: bytes, content_type: str | None) -> Answer:
        headers = {"Content-Type": content_type} if content_type else {}
        own = self._base()
        url = urllib.parse.urljoin(own, place)
        # An upload may continue in a storage elsewhere, which must not see who we are.
        if self._authorization and urllib.parse.urlsplit(url).netloc == own.removeprefix(
            f"{self._scheme()}://"
        ):
            headers["Authorization"] = self._authorization
        return self._send(method, url, content, headers)

    def _scheme(self) -> str:
        return "http" if self.access.plain_http or self.where.is_loopback else "https"

    def _base(self) -> str:
        host = HUB if self.where.host == "docker.io" else self.where.host
        return f"{self._scheme()}://{host}"

    def _send(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        parts = urllib.parse.urlsplit(url)
        connection: http.client.HTTPConnection
        try:
            if parts.scheme == "https":
                connection = http.client.HTTPSConnection(
                    parts.netloc, timeout=TIMEOUT_S, context=_trusting(self.access.ca_file)
                )
            else:
                connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        except (OSError, http.client.HTTPException) as error:
            message = f"{parts.netloc}: {error}"
            raise errors.RegistryError(message) from error
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, content, dict(headers))
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        except (OSError, http.client.HTTPException) as error:
            message = f"{parts.netloc} cannot be reached: {error}"
            raise errors.RegistryError(message) from error
        finally:
            connection.close()


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    # From 3.13 on, Python refuses the certificates of many private authorities, which lack
    # extensions that no other client of a registry asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
