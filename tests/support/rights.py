"""What the API server's audit log says of a user's rights: which were used, which were missed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tests.support import auditfile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

JsonObject = dict[str, Any]

_DECISION: Final = "authorization.k8s.io/decision"
# The policy asks for it when a status is written; no request has it for its verb.
_ASKED: Final = "control"
_ASKED_BY: Final = ("workflowexecutions", "status", "patch")


@dataclass(frozen=True)
class Right:
    """One verb on one resource, by one name where a rule gives one.

    Attributes:
        resource: with its subresource, as `pods/log`.
        name: of the object; empty for all.
        namespace: empty for all.
    """

    group: str
    resource: str
    verb: str
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        """As a person would name it."""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}.{self.group} {self.name}".strip(". ") + where

    def gives(self, used: Right) -> bool:
        """Whether it is the right that a request took."""
        return (
            (self.group, self.resource, self.verb) == (used.group, used.resource, used.verb)
            and self.name in {"", used.name}
            and self.namespace in {"", used.namespace}
        )


def given(rules: Iterable[tuple[JsonObject, str]]) -> list[Right]:
    """Every single right of rules, which come with their namespaces."""
    return [
        Right(group, resource, verb, name, namespace)
        for rule, namespace in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]


@dataclass(frozen=True)
class Account:
    """What the program did as a user, by the audit log.

    Attributes:
        used: what was asked for and allowed.
        refused: what was asked for and never allowed. A server that has just begun knows neither
            users nor roles for a moment, and refuses what it allows ever after.
    """

    used: frozenset[Right]
    refused: tuple[str, ...]

    def idle(self, rights: Iterable[Right]) -> list[str]:
        """The rights that nothing has made use of."""
        return [str(it) for it in rights if not any(it.gives(one) for one in self.used)]


def account_of(log: Path, user: str, *, since: int = 0) -> Account:
    """Read the log from a byte on."""
    used, refused = set[Right](), list[tuple[str, Right | None]]()
    for event in _events(log, since):
        if event["user"].get("username") != user or not _is_program(event):
            continue
        about = event.get("objectRef")
        code = event.get("responseStatus", {}).get("code", 0)
        if event.get("annotations", {}).get(_DECISION) != "allow" or code == 401:
            missed = None if about is None else _right(event["verb"], about)
            refused.append((f"{event['verb']} {event['requestURI']} ({code})", missed))
        elif about is not None:
            used |= set(_rights(event["verb"], about, code))
    never = tuple(words for words, missed in refused if not _was_given(missed, used))
    return Account(frozenset(used), never)


def _was_given(missed: Right | None, used: Iterable[Right]) -> bool:
    """Whether it was allowed at another time.

    What a refused create would have made has no name in the log: it is in a body that nobody read.
    """
    return any(
        missed == (replace(it, name="") if it.verb == "create" else it) or missed == it
        for it in used
    )


def _is_program(event: JsonObject) -> bool:
    """Whether it is the program that asks, and not a test with its token."""
    agent: str = event.get("userAgent", "")
    return agent.startswith("workflowexecution/")


def _rights(verb: str, about: JsonObject, code: int) -> Iterator[Right]:
    used = _right(verb, about)
    yield used
    if (about["resource"], about.get("subresource", ""), verb) == _ASKED_BY and code == 200:
        yield replace(used, resource=about["resource"], verb=_ASKED)


def _right(verb: str, about: JsonObject) -> Right:
    resource, sub = about["resource"], about.get("subresource", "")
    return Right(
        group=about.get("apiGroup", ""),
        resource=f"{resource}/{sub}" if sub else resource,
        verb=verb,
        name=about.get("name", ""),
        namespace=about.get("namespace", ""),
    )


def _events(log: Path, since: int) -> Iterator[JsonObject]:
    for line in auditfile.lines(log, since):
        event = json.loads(line)
        if event["stage"] != "RequestReceived":
            yield event
