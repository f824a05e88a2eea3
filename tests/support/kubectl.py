"""kubectl as the tests' hands and eyes: it waits on watches, so nothing here polls or sleeps."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JsonObject = dict[str, Any]
CRD = "crd/workflowexecutions.kubernaut.ai"
_NAMED = "--for=jsonpath={.status.acceptedNames.kind}=WorkflowExecution"
_ESTABLISHED = """--for=jsonpath={.status.conditions[?(@.type=="Established")].status}=True"""


def wait_served(kubectl: Callable[..., str]) -> None:
    """Wait until this project's CRD is established.

    Of a CRD so young that its conditions are null kubectl cannot wait for one: it fails. They come
    in one write with the accepted names, for which it can.
    """
    for state in (_NAMED, _ESTABLISHED):
        kubectl("wait", CRD, state, "--timeout=30s")


@dataclass(frozen=True)
class Kubectl:
    """One program, one cluster, one user."""

    program: str
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None, timeout_s: float = 150) -> str:
        """Run it and return what it printed.

        Raises:
            AssertionError: it failed; the message is what it said.
        """
        done = subprocess.run(
            [self.program, "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: JsonObject) -> None:
        """Create or change objects."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self("apply", "-f", "-", stdin=json.dumps(document))

    def get(self, kind: str, name: str, namespace: str) -> JsonObject:
        """Read an object."""
        found: JsonObject = json.loads(self("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def items(self, kind: str, namespace: str, selector: str = "") -> list[JsonObject]:
        """Read the objects of a namespace."""
        answer = json.loads(self("get", kind, "-n", namespace, "-l", selector, "-o", "json"))
        found: list[JsonObject] = answer["items"]
        return found

    def wait(
        self, what: str, namespace: str, path: str, value: str, *, deadline_s: int = 120
    ) -> None:
        """Wait until the JSON path of an object, `kind/name`, has a value."""
        self(
            "wait", what, "-n", namespace, f"--for=jsonpath={{{path}}}={value}",
            f"--timeout={deadline_s}s", timeout_s=deadline_s + 30,
        )  # fmt: skip

    def wait_gone(self, what: str, namespace: str, *, deadline_s: int = 120) -> None:
        """Wait until an object, `kind/name`, is not there any more."""
        self(
            "wait", what, "-n", namespace, "--for=delete", f"--timeout={deadline_s}s",
            timeout_s=deadline_s + 30,
        )  # fmt: skip
