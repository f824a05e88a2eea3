"""What is measured: the controller as a user starts it, the reactive floor, the kopf peer."""

import contextlib
import dataclasses
import enum
import http.client
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.benchmark import cluster, profiling
from tests.benchmark.profiling import Kind, Profile
from tests.support import processes
from tests.support.program import free_port
from workflowexecution import settings

WORKERS = settings.Controller().workers
"""As the controller comes; the floor has as many."""

_READY_S = 120.0
_PROBE_TIMEOUT_S = 1.0
_OK = 200

Sections = Mapping[str, Mapping[str, Any]]


class Subject(enum.Enum):
    """Each value is also its name in results."""

    CONTROLLER = "controller"
    FLOOR_4 = "floor4"
    FLOOR_6 = "floor6"
    KOPF = "kopf"


@dataclasses.dataclass(frozen=True)
class Running:
    """A subject that is ready.

    Attributes:
        agent: how its User-Agent begins.
        ready_s: seconds from its start until it was ready.
    """

    process: processes.Process
    agent: str
    ready_s: float


def running(
    subject: Subject,
    base: cluster.Cluster,
    sections: Sections,
    *,
    name: str = "controller",
    profile: Profile | None = None,
) -> contextlib.AbstractContextManager[Running]:
    """Start a subject, wait until it is ready, and end it with the block.

    Args:
        subject: which one.
        base: where it works.
        sections: of the controller's configuration, beside its addresses.
        name: of its files, where there are several.
        profile: of the controller, from its start to its end.
    """
    if subject is Subject.CONTROLLER:
        return _controller(base, sections, name, profile)
    if subject is Subject.KOPF:
        return _kopf(base)
    return _floor(base, events=subject is Subject.FLOOR_6)


@contextlib.contextmanager
def tekton(base: cluster.Cluster, *, mode: str, duration_s: float) -> Iterator[processes.Process]:
    """Start the simulated Tekton, wait until it is ready, and end it with the block."""
    arguments = ["tests.benchmark.tekton", f"--server={base.stack.server_url}"]
    arguments += [f"--token={base.stack.admin_token}", f"--ca-file={base.stack.ca_file}"]
    arguments += [f"--mode={mode}", f"--duration={duration_s}"]
    with processes.running(
        "simulated Tekton", arguments, log=base.logs / "tekton.log", environment=base.environment
    ) as process:
        process.wait_ready_line(deadline_s=_READY_S)
        yield process


@contextlib.contextmanager
def _floor(base: cluster.Cluster, *, events: bool) -> Iterator[Running]:
    arguments = ["tests.benchmark.floor", f"--kubeconfig={base.kubeconfig}"]
    arguments += [f"--workers={WORKERS}", *(["--events"] if events else [])]
    with processes.running(
        "reactive floor", arguments, log=base.logs / "floor.log", environment=base.environment
    ) as process:
        process.wait_ready_line(deadline_s=_READY_S)
        yield Running(process=process, agent="reactive-floor", ready_s=0.0)


@contextlib.contextmanager
def _kopf(base: cluster.Cluster) -> Iterator[Running]:
    arguments = ["tests.benchmark.kopfpeer", f"--kubeconfig={base.kubeconfig}"]
    environment = {**base.environment, "KUBECONFIG": str(base.kubeconfig)}
    with processes.running(
        "kopf peer", arguments, log=base.logs / "kopf.log", environment=environment
    ) as process:
        process.wait_ready_line(deadline_s=_READY_S)
        yield Running(process=process, agent="kopf/", ready_s=0.0)


@contextlib.contextmanager
def _controller(
    base: cluster.Cluster, sections: Sections, name: str, profile: Profile | None
) -> Iterator[Running]:
    health, metrics = free_port(), free_port()
    config = base.logs / f"{name}.yaml"
    document = {
        **sections,
        "controller": {
            **sections.get("controller", {}),
            "healthProbeAddr": f"127.0.0.1:{health}",
            "metricsAddr": f"127.0.0.1:{metrics}",
            "metricsAuth": False,
        },
    }
    config.write_text(yaml.safe_dump(document))
    arguments = ["workflowexecution", f"--kubeconfig={base.kubeconfig}", f"--config={config}"]
    with contextlib.ExitStack() as stack:
        if profile and profile.kind is Kind.MEMORY:
            arguments = [*stack.enter_context(profiling.tracked(profile)), *arguments]
        process = stack.enter_context(
            processes.running(
                name, arguments, log=base.logs / f"{name}.log", environment=base.environment
            )
        )
        if profile and profile.kind is Kind.TIME:
            stack.enter_context(profiling.sampled(process.pid, profile))
        ready_s = process.wait_until(lambda: _is_ready(health), deadline_s=_READY_S)
        yield Running(process=process, agent="workflowexecution/", ready_s=ready_s)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
