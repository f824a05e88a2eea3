"""What is measured: the controller as a user starts it, or the reactive floor."""

import contextlib
import dataclasses
import enum
import http.client
import socket
from collections.abc import Iterator

import yaml

from tests.benchmark import cluster, processes

WORKERS = 16

_READY_S = 120.0
_PROBE_TIMEOUT_S = 1.0
_OK = 200


class Subject(enum.Enum):
    """Each value is also its name in results."""

    CONTROLLER = "controller"
    FLOOR_4 = "floor4"
    FLOOR_6 = "floor6"


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
    subject: Subject, base: cluster.Cluster, *, run_retention: str = "5m"
) -> contextlib.AbstractContextManager[Running]:
    """Start a subject, wait until it is ready, and end it with the block."""
    if subject is Subject.CONTROLLER:
        return _controller(base, run_retention)
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
def _controller(base: cluster.Cluster, run_retention: str) -> Iterator[Running]:
    health, metrics = _free_ports(2)
    config = base.logs / "controller.yaml"
    document = {
        "execution": {"runRetention": run_retention},
        "controller": {
            "workers": WORKERS,
            "healthProbeAddr": f"127.0.0.1:{health}",
            "metricsAddr": f"127.0.0.1:{metrics}",
            "metricsAuth": False,
        },
    }
    config.write_text(yaml.safe_dump(document))
    arguments = ["workflowexecution", f"--kubeconfig={base.kubeconfig}", f"--config={config}"]
    with processes.running(
        "controller", arguments, log=base.logs / "controller.log", environment=base.environment
    ) as process:
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


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
