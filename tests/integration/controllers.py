"""Controllers that a test starts, kills and starts again."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.fake.api import read_kubeconfig
from tests.integration import access
from tests.integration.world import create_namespace
from tests.proxy.proxy import Proxy
from tests.support import program

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.fake.api import Endpoint
    from tests.integration.world import World
    from tests.support.program import Program


@dataclass(frozen=True)
class Controllers:
    """Starts controllers that serve one test and nothing else.

    Attributes:
        world: the test's, with the label value and the run namespace of these controllers, which
            holds their lease and outbox where a test asks for these.
        endpoint: the server as they know it.
    """

    world: World
    endpoint: Endpoint
    kubeconfig: Path
    folder: Path

    @classmethod
    async def of(
        cls, world: World, endpoint: Endpoint, kubeconfig: Path, folder: Path
    ) -> Controllers:
        """Controllers of an instance, with a run namespace of their own.

        Args:
            world: the test's.
            endpoint: the server.
            kubeconfig: the user that they are; has the controller's roles in that namespace then.
            folder: for their configuration and logs.
        """
        # A test may have a second installation beside the first.
        name = f"runs-{uuid.uuid4().hex[:8]}"
        await create_namespace(world.api, name)
        await access.give(world.api, name, name, f"green-{name}")
        own = replace(world, runs=name, instance=name)
        token = read_kubeconfig(kubeconfig).token
        return cls(own, replace(endpoint, token=token), kubeconfig, folder)

    @contextlib.asynccontextmanager
    async def running(
        self,
        *,
        by_way_of: Proxy | None = None,
        ready: bool = True,
        module: str = program.PROGRAM,
        **sections: dict[str, Any],
    ) -> AsyncGenerator[Program]:
        """Run a controller; whatever becomes of it, it is not there afterwards.

        Its audit is off unless a section says otherwise: acknowledgements are writes, and most
        tests count others.
        """
        sections.setdefault("audit", {"sink": "none"})
        way = self.kubeconfig if by_way_of is None else by_way_of.write_kubeconfig(self.folder)
        execution = {"namespace": self.world.runs, **sections.pop("execution", {})}
        controller = {"instance": self.world.instance, **sections.pop("controller", {})}
        manager = program.running(
            self.folder,
            way,
            ready=ready,
            module=module,
            execution=execution,
            controller=controller,
            **sections,
        )
        started = await asyncio.to_thread(manager.__enter__)
        try:
            yield started
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)

    def proxy(self) -> Proxy:
        """A proxy that these controllers can go by."""
        return Proxy(self.endpoint)
