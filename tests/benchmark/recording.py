"""Where the controller's audit records go while it is measured.

`http` is the stand-in for the Data Storage service over a PostgreSQL, in processes of their own:
what they use is not the controller's, though they share the machine's cores with it.
"""

import contextlib
import dataclasses
import enum
import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.benchmark import cluster
from tests.support import processes
from tests.support.program import free_port

_READY_S = 60.0
_TIMEOUT_S = 10.0
_OK = 200


class Audit(enum.Enum):
    """The sink; each value is also its name in results."""

    OFF = "off"
    LOG = "log"
    HTTP = "http"


@dataclasses.dataclass(frozen=True)
class Store:
    """Where records go.

    Attributes:
        sections: of the controller's configuration.
        pids: of processes that are to be watched beside the controller.
        port: of the Data Storage; 0 where there is none.
    """

    sections: Mapping[str, Mapping[str, Any]]
    pids: Mapping[str, int] = dataclasses.field(default_factory=dict)
    port: int = 0

    def figures(self, size: int) -> dict[str, float]:
        """Return how many records of each execution have arrived."""
        return {"audit_records": _stored(self.port) / size} if self.port else {}


@contextlib.contextmanager
def store(audit: Audit, base: cluster.Cluster) -> Iterator[Store]:
    """Have the place where records go until the block ends."""
    if audit is not Audit.HTTP:
        yield Store({"audit": {"sink": "none" if audit is Audit.OFF else "log"}})
        return
    port = free_port()
    with processes.running(
        "Data Storage",
        ["tests.datastorage", f"--port={port}"],
        log=base.logs / "datastorage.log",
        environment=base.environment,
    ) as process:
        process.wait_ready_line(deadline_s=_READY_S)
        way = {"url": f"http://127.0.0.1:{port}"}
        yield Store({"audit": {"sink": "http"}, "datastorage": way}, {"store": process.pid}, port)


def _stored(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/api/v1/audit/events?limit=1")
        answer = connection.getresponse()
        body = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != _OK:
        raise processes.Failed(f"the Data Storage answered {answer.status}: {body}")
    return int(body["pagination"]["total"])
