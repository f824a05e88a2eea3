"""What the audit log says of rights: refusals of a server that has just begun count for nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import rights

if TYPE_CHECKING:
    from pathlib import Path

USER = "controller"


def asked(verb: str, name: str, decision: str, **about: str) -> dict[str, Any]:
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "requestURI": "/apis",
        "user": {"username": USER},
        "userAgent": "workflowexecution/1",
        "annotations": {"authorization.k8s.io/decision": decision},
        "responseStatus": {"code": 201 if decision == "allow" else 403},
        "objectRef": {"resource": "events", "namespace": "team", "name": name} | about,
    }


@pytest.mark.parametrize(
    ("allowed", "refused", "count"),
    [
        pytest.param(("patch", "a"), ("patch", "a"), 0, id="refused-for-a-moment"),
        pytest.param(("patch", "a"), ("patch", "b"), 1, id="another-object"),
        pytest.param(("create", "a"), ("create", ""), 0, id="create-refused-for-a-moment"),
        pytest.param(("patch", "a"), ("create", ""), 1, id="create-never-allowed"),
        pytest.param(("create", "a"), ("delete", ""), 1, id="other-verb-without-a-name"),
    ],
)
def test_refusal_counts_unless_the_same_was_allowed_at_another_time(
    tmp_path: Path, allowed: tuple[str, str], refused: tuple[str, str], count: int
) -> None:
    log = tmp_path / "audit.log"
    events = asked(*refused, "forbid"), asked(*allowed, "allow")
    log.write_text("".join(f"{json.dumps(it)}\n" for it in events))
    assert len(rights.account_of(log, USER).refused) == count


def test_create_that_is_allowed_elsewhere_only_is_missed(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    events = asked("create", "", "forbid", namespace="other"), asked("create", "a", "allow")
    log.write_text("".join(f"{json.dumps(it)}\n" for it in events))
    assert rights.account_of(log, USER).refused == ("create /apis (403)",)
