"""The simulated Tekton in a process of its own, with a bounded number of requests at a time.

`plain`: two status changes of each run, no TaskRuns. `full`: besides, two TaskRuns one after the
other, of four status changes each. Every run succeeds.
"""

import argparse
import asyncio
from collections.abc import Mapping

from tests.benchmark import objects, script
from tests.fake import scenarios, tekton
from tests.fake.api import Api, Endpoint, Reply
from tests.fake.stage import Pace, Stage
from tests.fake.statuses import JsonObject

_REQUESTS_AT_ONCE = 32
_STORIES = {"plain": scenarios.PLAIN, "full": scenarios.FULL}


class BoundedApi(Api):
    """A thousand runs at once would open a thousand connections: more work than their requests."""

    def __init__(self, endpoint: Endpoint, *, agent: str) -> None:
        super().__init__(endpoint, agent=agent)
        self._free = asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | bytes | None = None,
        content_type: str = "application/json",
    ) -> Reply:
        """Send a request when there is room for it."""
        async with self._free:
            return await super().request(
                method, path, query=query, body=body, content_type=content_type
            )


async def _main(options: argparse.Namespace) -> None:
    endpoint = Endpoint(options.server, options.token, options.ca_file)
    async with BoundedApi(endpoint, agent=tekton.AGENT) as api:
        stage = Stage(api, Pace(task_s=options.duration))
        story = _STORIES[options.mode]
        script.say_ready()
        await tekton.SimulatedTekton(stage, objects.RUNS_NAMESPACE, choose=lambda run: story).run()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.tekton", description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--mode", choices=list(_STORIES), default="plain")
    parser.add_argument("--duration", type=float, default=0.0, help="of each task, seconds")
    return parser.parse_args()


if __name__ == "__main__":
    script.run(_main(_parse()))
