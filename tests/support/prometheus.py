"""A real Prometheus and its tool, of Debian's package, which is unpacked and not installed."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.stack import api, debian
from tests.support.program import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.stack.cluster import Stack

PACKAGE = "prometheus"
READY_S = 30.0
LOOK_EVERY_S = 0.1
STOP_S = 20.0
SCRAPES = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}
"""What every scrape says of itself."""


def tool() -> Path:
    """Prometheus' tool."""
    return debian.unpack(PACKAGE) / "usr/bin/promtool"


def lint(text: str) -> str:
    """What `promtool check metrics` has to say; nothing when all is well."""
    done = subprocess.run(
        [str(tool()), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return f"{done.stdout}{done.stderr}" or ("" if done.returncode == 0 else "it failed")


def lacks(stack: Stack, token: str) -> str | None:
    """What a token's account lacks for reading metrics, by the API server's own, or None.

    The server takes a role in a moment after it is made.
    """
    asking = api.Api(
        server_url=stack.server_url, ca_file=stack.ca_file, token=token, timeout_s=READY_S
    )
    status, _ = asking.call("GET", "/metrics")
    return None if status == 200 else f"/metrics answered {status}"


@dataclass(frozen=True)
class Prometheus:
    """A running server.

    Attributes:
        port: where its API answers.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - raw JSON
        """The data of an answer of its API; None while there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_S)
        try:
            connection.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(params)}")
            answer = connection.getresponse()
            return json.loads(answer.read())["data"] if answer.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()

    def values(self, query: str) -> list[float]:
        """The numbers that a query gives."""
        found = self.get("query", query=query) or {"result": []}
        return [float(each["value"][1]) for each in found["result"]]

    def scraped(self) -> dict[str, tuple[str, str]]:
        """Health and last error of each job that was scraped at least once."""
        found = self.get("targets") or {"activeTargets": []}
        return {
            it["labels"]["job"]: (it["health"], it["lastError"])
            for it in found["activeTargets"]
            if it["health"] != "unknown"
        }

    def until_scraped(self, wanted: dict[str, tuple[str, str]]) -> None:
        """Wait until the jobs are as wanted: a scrape of a busy program may be too late for once.

        Raises:
            AssertionError: they do not become it.
        """
        found = [self.scraped()]

        def reached() -> bool:
            found.append(self.scraped())
            return found[-1] == wanted

        try:
            self.until(reached)
        except AssertionError:
            raise AssertionError(found[-1]) from None

    def until(self, reached: Callable[[], object], *, deadline_s: float = READY_S) -> None:
        """Wait for what scrapes bring.

        Raises:
            AssertionError: it does not come.
        """
        deadline = time.monotonic() + deadline_s
        while not reached():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(LOOK_EVERY_S)


@contextlib.contextmanager
def running(
    folder: Path, jobs: list[dict[str, Any]], *, rules: Sequence[Path] = ()
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes these jobs every second, and end it."""
    port = free_port()
    config = folder / "prometheus.yaml"
    pace = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    files = [str(it) for it in rules]
    config.write_text(yaml.safe_dump({"global": pace, "scrape_configs": jobs, "rule_files": files}))
    log = folder / "prometheus.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                str(debian.unpack(PACKAGE) / "usr/bin/prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=stream,
            stderr=stream,
        )
    try:
        yield Prometheus(port, process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
