"""The controller in the cluster, as manifests/default installs it, from the image of this tree."""

from __future__ import annotations

import contextlib
import datetime
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.stack import imagebuild
from tests.stack.api import wait_for
from tests.support import executions, installation, kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubectl import JsonObject
    from tests.support.place import Place

SYSTEM: Final = installation.SYSTEM
NAME: Final = installation.CONTROLLER
LEASE: Final = "workflowexecution.kubernaut.ai"
CONFIG: Final = "workflowexecution-config"
TAG: Final = "v0.1.0"
ROLLED_OUT_S: Final = 180
LED_S: Final = 60.0

_SELECTOR: Final = f"app.kubernetes.io/name={NAME}"


@dataclass(frozen=True)
class Deployed:
    """The Deployment and its pods."""

    where: Place
    image: imagebuild.Built

    @property
    def hands(self) -> kubectl.Kubectl:
        """The administrator's."""
        return self.where.kubectl

    def rolled_out(self) -> None:
        """Wait until every replica is new and ready."""
        self.hands(
            "rollout", "status", f"deployment/{NAME}", "-n", SYSTEM, f"--timeout={ROLLED_OUT_S}s",
            timeout_s=ROLLED_OUT_S + 30,
        )  # fmt: skip

    def pods(self) -> dict[str, JsonObject]:
        """The pods that are not on their way out, by name."""
        found = self.hands.items("pods", SYSTEM, _SELECTOR)
        return {
            it["metadata"]["name"]: it for it in found if "deletionTimestamp" not in it["metadata"]
        }

    def leader(self) -> str:
        """Wait until one of the pods leads; returns its name."""
        found = ""

        def missing() -> str | None:
            nonlocal found
            found = self.holder()
            return None if found in self.pods() else f"the lease is {found or 'nobody'}'s"

        wait_for("leader", missing, deadline_s=LED_S)
        return found

    def holder(self) -> str:
        """Who has the lease; nobody if it was given back."""
        text = self.hands(
            "get", "lease", LEASE, "-n", SYSTEM, "--ignore-not-found",
            "-o", "jsonpath={.spec.holderIdentity}",
        )  # fmt: skip
        return text.strip()

    def log(self, pod: str) -> list[JsonObject]:
        """The lines of a pod's log."""
        text = self.hands("logs", pod, "-n", SYSTEM)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def configure(self, text: str) -> None:
        """Edit the ConfigMap, and let the kubelet bring it into the pods now, not in a minute."""
        patch = json.dumps({"data": {"config.yaml": text}})
        self.hands("patch", "configmap", CONFIG, "-n", SYSTEM, "--type=merge", "-p", patch)
        for pod in self.pods():
            now = datetime.datetime.now(datetime.UTC).isoformat()
            self.hands("annotate", "pod", pod, "-n", SYSTEM, f"tests/sync={now}", "--overwrite")

    def said(self, event: str, *, times: int = 1, deadline_s: float = 150.0) -> None:
        """Wait until every pod has logged something so often."""

        def missing() -> str | None:
            for pod in self.pods():
                count = sum(line["event"] == event for line in self.log(pod))
                if count < times:
                    return f"{pod} said it {count} times"
            return None

        wait_for(f"{event!r}", missing, deadline_s=deadline_s)


def seconds_to_ready(pod: JsonObject) -> float:
    """From the start of the container to the pod being ready, to whole seconds as both are kept."""
    (status,) = pod["status"]["containerStatuses"]
    started = status["state"]["running"]["startedAt"]
    ready = executions.condition(pod, "Ready")
    assert ready["status"] == "True"
    since, until = (
        datetime.datetime.fromisoformat(text) for text in (started, ready["lastTransitionTime"])
    )
    return (until - since).total_seconds()


@contextlib.contextmanager
def installed(where: Place) -> Iterator[Deployed]:
    """Install manifests/default word for word, and take the Deployment away in the end."""
    assert where.stack is not None
    image = imagebuild.build(TAG, version="0.1.0")
    where.stack.import_archive(image.archive)
    where.kubectl("apply", "-k", str(installation.MANIFESTS / "default"))
    made = Deployed(where, image)
    try:
        made.rolled_out()
        yield made
    finally:
        where.kubectl("delete", "-k", str(installation.MANIFESTS / "controller"), "--timeout=120s")
        # They go after their Deployment, and would serve the next test's executions until then.
        gone = ("--for=delete", "--timeout=120s")
        where.kubectl("wait", "pod", "-n", SYSTEM, "-l", _SELECTOR, *gone)
