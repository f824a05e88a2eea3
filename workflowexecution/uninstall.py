"""Uninstall: takes this program's finalizers off every execution.

For a cluster from which the controller has been removed: nobody is left to take them off, and they
would keep each execution, and with it its namespace, from being deleted. Runs are not touched.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tenacity

from workflowexecution import identity as who
from workflowexecution.adapters import executions
from workflowexecution.api import names
from workflowexecution.runtime import client, connection, errors, pages, resource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PAGE = 500
_TRIES = 5


class CannotUninstall(Exception):
    """The way to the cluster is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done.

    Attributes:
        namespace: the only one; empty: all.
        dry_run: only say what would be done.
    """

    namespace: str = ""
    dry_run: bool = False


@dataclass(slots=True)
class Outcome:
    """How many executions were held, were freed, and could not be freed.

    Attributes:
        refused: whether the person said no.
    """

    held: int = 0
    freed: int = 0
    failed: int = 0
    refused: bool = False


async def run(
    wish: Wish,
    *,
    kubeconfig: Path | None,
    identity: str,
    tell: Callable[[str], None],
    confirm: Callable[[str], bool],
) -> Outcome:
    """Take the finalizers off, after asking.

    Args:
        wish: what is to be done.
        kubeconfig: the way to the cluster; None looks around.
        identity: who this is, for the server's audit log.
        tell: takes each line for the person at the screen.
        confirm: asks that person a question; a dry run asks none.

    Raises:
        CannotUninstall: there is no usable kubeconfig or service account.
        errors.ClusterError: the executions could not be listed.
    """
    try:
        way = await connection.connect(kubeconfig=str(kubeconfig or ""))
        api = client.Client(connection=way, user_agent=who.user_agent(identity))
    except errors.ConnectionConfigError as error:
        raise CannotUninstall(str(error)) from error
    try:
        return await _Uninstall(wish, api, tell).run(way.server, confirm)
    finally:
        await api.close()


class _Uninstall:
    def __init__(self, wish: Wish, api: client.Client, tell: Callable[[str], None]) -> None:
        self._wish = wish
        self._api = api
        self._tell = tell

    async def run(self, server: str, confirm: Callable[[str], bool]) -> Outcome:
        held = await self._held()
        outcome = Outcome(held=len(held))
        where = f"namespace {self._wish.namespace}" if self._wish.namespace else "all namespaces"
        self._tell(f"{len(held)} executions in {where} of {server} are held by finalizers")
        if self._wish.dry_run:
            for key in held:
                self._tell(f"{key}: would be freed")
        elif held and not confirm(
            "Without them no run is stopped or removed when its execution is deleted. "
            "Is the controller gone, and are they to be taken off?"
        ):
            outcome.refused = True
            self._tell("nothing was changed")
        else:
            for key in held:
                await self._count(key, outcome)
            self._tell(f"{outcome.freed} freed, {outcome.failed} failed")
        return outcome

    async def _held(self) -> list[resource.ObjectKey]:
        found: list[resource.ObjectKey] = []

        def take(item: resource.JsonObject) -> None:
            metadata = item["metadata"]
            if _own(metadata):
                found.append(resource.ObjectKey(metadata["namespace"], metadata["name"]))

        where = self._wish.namespace
        fetch = functools.partial(
            self._api.list_page, executions.EXECUTIONS, namespace=where, limit=_PAGE
        )
        await pages.read(fetch, take)
        return found

    async def _count(self, key: resource.ObjectKey, outcome: Outcome) -> None:
        try:
            await self._free(key)
        except errors.ClusterError as error:
            outcome.failed += 1
            self._tell(f"{key}: {error}")
        else:
            outcome.freed += 1
            self._tell(f"{key}: freed")

    async def _free(self, key: resource.ObjectKey) -> None:
        """Take the own finalizers off, whatever others do to the object meanwhile.

        Raises:
            errors.ClusterError: the server refused, or did not answer.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(errors.Conflict),
            stop=tenacity.stop_after_attempt(_TRIES),
            reraise=True,
        )
        with contextlib.suppress(errors.NotFound):
            await retrying(self._take_off, key)

    async def _take_off(self, key: resource.ObjectKey) -> None:
        metadata = (await self._api.get(executions.EXECUTIONS, key))["metadata"]
        others = [it for it in metadata.get("finalizers", ()) if it not in names.FINALIZERS]
        # A list is replaced as a whole: the version keeps those that others set meanwhile.
        changes = {"finalizers": others or None, "resourceVersion": metadata["resourceVersion"]}
        await self._api.merge_patch(executions.EXECUTIONS, key, {"metadata": changes})


def _own(metadata: resource.JsonObject) -> bool:
    return any(name in names.FINALIZERS for name in metadata.get("finalizers") or ())
