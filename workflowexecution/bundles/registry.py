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
# What a header can hold of a token.
_TOKEN = re.compile(r"[\x21-\x7e]+")
# Some registries answer so to a manifest that they have taken.
_ALSO_TAKEN = frozenset({http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED})


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
        answer = self._ask("PUT", path, packed.manifest, image.MANIFEST_TYPE)
        names_it = answer.headers.get("docker-content-digest") == packed.digest
        if not (names_it and answer.status in _ALSO_TAKEN):
            self._expect(answer, "PUT", http.HTTPStatus.CREATED)

    def _push_blob(self, digest: str, content: bytes) -> None:
        folder = f"/v2/{self.where.repository}/blobs"
        # Who does not say that it is there gets it: who keeps blobs elsewhere points
        # there, and who may push need not be allowed to read. An upload's answer has a body.
        if self._ask("HEAD", f"{folder}/{digest}").status == http.HTTPStatus.OK:
            return
        answer = self._ask("POST", f"{folder}/uploads/")
        self._expect(answer, "POST", http.HTTPStatus.ACCEPTED)
        location = answer.headers.get("location", "")
        if not location:
            message = f"{self.where.host} answers POST with 202 and no place to upload to"
            raise errors.RegistryError(message)
        query = urllib.parse.urlencode({"digest": digest})
        place = f"{location}{'&' if '?' in location else '?'}{query}"
        answer = self._ask("PUT", place, content, "application/octet-stream")
        self._expect(answer, "PUT", http.HTTPStatus.CREATED)

    def _expect(self, answer: Answer, method: str, status: http.HTTPStatus) -> None:
        """Refuse every other status: a login page and a portal answer too, and have taken nothing.

        The specification has one status for each step of a push, and no redirection.
        """
        if answer.status == status:
            return
        said = answer.body.decode(errors="replace")[:SHOWN_OF_ANSWER].strip()
        hint = ""
        if answer.status in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
            who = "nobody" if self.access.login is None else self.access.login.user
            hint = f" (as {who}; `docker login {self.where.host}` is read)"
        elif answer.status < http.HTTPStatus.BAD_REQUEST:
            hint = f", not with {status.value}"
            if answer.status >= http.HTTPStatus.MULTIPLE_CHOICES and "location" in answer.headers:
                hint += f", and points to {_shown(answer.headers['location'])}"
        message = f"{self.where.host} answers {method} with {answer.status}{hint}"
        if said:
            message += f": {said}"
        raise errors.RegistryError(message)

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
        """The header that a registry wants to see; empty if we have nothing to show.

        Raises:
            RegistryError: nobody gives tokens where the registry says.
        """
        scheme, _, rest = challenge.partition(" ")
        login = self.access.login
        if scheme.lower() != "bearer":
            return login.basic if login else ""
        wanted = dict(_PARAMETER.findall(rest))
        realm = wanted.pop("realm", "")
        if not realm:
            message = f"{self.where.host} asks for a token, and does not say where to get one"
            raise errors.RegistryError(message)
        query = urllib.parse.urlencode(wanted)
        headers = {"Authorization": login.basic} if login else {}
        answer = self._send("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", b"", headers)
        try:
            document = json.loads(answer.body)
            token = document.get("token") or document["access_token"]
            return f"Bearer {token}" if _TOKEN.fullmatch(token) else ""
        except (ValueError, KeyError, AttributeError, TypeError):
            # Then the registry's own refusal says more than that of who gives tokens.
            return ""

    def _request(self, method: str, place: str, content: bytes, content_type: str | None) -> Answer:
        headers = {"Content-Type": content_type} if content_type else {}
        own = self._base()
        try:
            url = urllib.parse.urljoin(own, place)
        except ValueError as error:
            message = f"{_shown(place)!r} is no address: {error}"
            raise errors.RegistryError(message) from error
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
        parts = _split(url)
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
        # ValueError: a name of a machine that is none, a header that cannot be sent.
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"{parts.netloc} cannot be reached: {error}"
            raise errors.RegistryError(message) from error
        finally:
            connection.close()


def _split(url: str) -> urllib.parse.SplitResult:
    """The parts of an address that a registry has given."""
    why = "it wants http:// or https://, and a host"
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        why = str(error)
    else:
        if parts.scheme in {"http", "https"} and parts.netloc:
            return parts
    message = f"{_shown(url)!r} is no address: {why}"
    raise errors.RegistryError(message)


def _shown(url: str) -> str:
    """An address without its query, which may hold what nobody else must know."""
    return url.partition("?")[0]


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        message = f"--ca-file {ca_file}: {error}"
        raise errors.RegistryError(message) from error
    # From 3.13 on, Python refuses the certificates of many private authorities, which lack
    # extensions that no other client of a registry asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
