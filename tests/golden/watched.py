"""What became of the objects of a namespace, of those too that are deleted meanwhile.

Tekton deletes the pods of runs that time out or are cancelled, and writes over what their TaskRuns
were waiting for: both can be seen only while it lasts.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.kubectl import JsonObject, Kubectl


class Watched:
    """What a watch has told so far; written by its thread, read by another."""

    def __init__(self, is_done: Callable[[JsonObject], bool]) -> None:
        self._is_done = is_done
        self._changed = threading.Condition()
        self._last: dict[str, JsonObject] = {}
        self._unfinished: dict[str, JsonObject] = {}

    def take(self, event: JsonObject) -> None:
        """Note a watch event."""
        item, uid = event["object"], event["object"]["metadata"]["uid"]
        with self._changed:
            if event["type"] == "DELETED":
                item = {**item, "gone": True}
            elif not self._is_done(item):
                self._unfinished[uid] = item
            self._last[uid] = item
            self._changed.notify_all()

    def wait_quiet(self, *, deadline_s: float) -> None:
        """Wait until each object is done or gone, or the deadline is over."""
        deadline = time.monotonic() + deadline_s
        with self._changed:
            while not all(it.get("gone") or self._is_done(it) for it in self._last.values()):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return

    def last(self) -> list[JsonObject]:
        """The last states by age and name; what is not there any more says `gone`."""
        with self._changed:
            return sorted(self._last.values(), key=_age)

    def unfinished(self) -> list[JsonObject]:
        """The last states before the end, of what has ended."""
        with self._changed:
            ended = {uid for uid, it in self._last.items() if it.get("gone") or self._is_done(it)}
            return sorted(
                (self._unfinished[uid] for uid in ended & set(self._unfinished)), key=_age
            )


@contextlib.contextmanager
def watching(
    kubectl: Kubectl, kind: str, namespace: str, is_done: Callable[[JsonObject], bool]
) -> Iterator[Watched]:
    """Watch the objects of a kind in a namespace."""
    command = [
        kubectl.program, "--kubeconfig", str(kubectl.kubeconfig), "get", kind, "-n", namespace,
        "--watch", "--output-watch-events", "-o", "json",
    ]  # fmt: skip
    found = Watched(is_done)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, found))
        reader.start()
        try:
            yield found
        finally:
            process.terminate()
            reader.join()


def _read(stream: IO[str], found: Watched) -> None:
    for line in stream:
        found.take(json.loads(line))


def _age(item: JsonObject) -> tuple[str, str]:
    return item["metadata"]["creationTimestamp"], item["metadata"]["name"]
