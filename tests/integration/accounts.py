"""Service accounts that may do everything, for programs that are not to be the administrator."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from tests.fake import kinds
from tests.fake.api import Api, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.integration.world import World

FORGOTTEN_S = 40.0
_CORE = "/api/v1/namespaces"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


@dataclasses.dataclass(frozen=True)
class Account:
    """One of them, in the namespace of a test's runs, with tokens that end with a Secret each."""

    world: World
    name: str

    @property
    def user(self) -> str:
        """What the server calls it."""
        return f"system:serviceaccount:{self.world.runs}:{self.name}"

    async def create(self) -> None:
        """Make it."""
        runs = self.world.runs
        await self._post(f"{_CORE}/{runs}/serviceaccounts", {"metadata": {"name": self.name}})
        subject = {"kind": "ServiceAccount", "name": self.name, "namespace": runs}
        role = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        }
        metadata = {"name": f"{runs}-{self.name}"}
        await self._post(_BINDINGS, {"metadata": metadata, "subjects": [subject], "roleRef": role})

    async def delete(self) -> None:
        """Take its rights away."""
        await self.world.api.request("DELETE", f"{_BINDINGS}/{self.world.runs}-{self.name}")

    async def token(self, secret: str) -> str:
        """A token that holds as long as the Secret of this name is there."""
        runs = self.world.runs
        made = await self._post(f"{_CORE}/{runs}/secrets", {"metadata": {"name": secret}})
        uid = made["metadata"]["uid"]
        bound = {"apiVersion": "v1", "kind": "Secret", "name": secret, "uid": uid}
        answer = await self._post(
            f"{_CORE}/{runs}/serviceaccounts/{self.name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"boundObjectRef": bound},
            },
        )
        return str(answer["status"]["token"])

    async def revoke(self, secret: str, token: str, endpoint: Endpoint) -> None:
        """Take the Secret away and wait until the server does not know the token any more."""
        path = f"{_CORE}/{self.world.runs}/secrets/{secret}"
        (await self.world.api.request("DELETE", path)).accept()
        old = dataclasses.replace(endpoint, token=token)
        async with Api(old) as api, asyncio.timeout(FORGOTTEN_S):
            # Nothing tells when the server forgets what it has found out about a token.
            while (  # noqa: ASYNC110
                await api.list(kinds.EXECUTIONS, self.world.namespace)
            ).status != 401:
                await asyncio.sleep(0.5)

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return (await self.world.api.request("POST", path, body=dict(body))).accept()
