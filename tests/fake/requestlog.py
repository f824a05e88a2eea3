"""What was asked of the fake cluster, for assertions."""

import dataclasses

from tests.fake.paths import EVERYTHING, WRITES, Call, Match
from tests.fake.statuses import JsonObject


@dataclasses.dataclass(slots=True)
class Request:
    """One request: `at` is loop time in seconds, `status` 0 as long as there is no answer.

    `status` stays 0 when the connection was dropped. `response_bytes` counts the body.
    `traceparent` is the header of that name.
    """

    call: Call
    query: dict[str, str]
    body: JsonObject | None
    request_bytes: int
    at: float
    status: int = 0
    response_bytes: int = 0
    traceparent: str = ""


class RequestLog:
    """All requests in the order of their arrival."""

    def __init__(self) -> None:
        self.entries: list[Request] = []

    def add(self, request: Request) -> None:
        """Note a request."""
        self.entries.append(request)

    def matching(self, match: Match = EVERYTHING) -> list[Request]:
        """Return the requests that are meant, oldest first."""
        return [entry for entry in self.entries if match.accepts(entry.call)]

    def count(self, match: Match = EVERYTHING) -> int:
        """Return how many requests are meant."""
        return len(self.matching(match))

    def writes(self) -> list[Request]:
        """Return all creates, updates, patches and deletes."""
        return self.matching(WRITES)

    def clear(self) -> None:
        """Forget everything so far."""
        self.entries.clear()
