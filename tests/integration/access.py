"""The controller's roles in a namespace of a test's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tests.support import installation

if TYPE_CHECKING:
    from tests.fake.api import Api

EFFECT_S: Final = 15.0

_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_LOOK_EVERY_S: Final = 0.02


async def give(api: Api, namespace: str, *instances: str) -> None:
    """Let the controller's account have its leases, its outbox and its runs in a namespace.

    Raises:
        TimeoutError: the server does not take the roles in.
    """
    for made in installation.roles_in(namespace, *instances):
        plural = f"{made['kind'].lower()}s"
        path = f"{_RBAC}/namespaces/{namespace}/{plural}"
        reply = await api.request("POST", path, body=made)
        if reply.status != 409:
            reply.accept()
    async with asyncio.timeout(EFFECT_S):
        for group, resource, verb in (
            ("tekton.dev", "taskruns", "watch"), ("coordination.k8s.io", "leases", "create"),
        ):  # fmt: skip
            while not await _may(api, namespace, group, resource, verb):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(_LOOK_EVERY_S)


async def _may(api: Api, namespace: str, group: str, resource: str, verb: str) -> bool:
    attributes = {"namespace": namespace, "group": group, "resource": resource, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": installation.USER, "resourceAttributes": attributes},
    }
    answer = (await api.request("POST", _REVIEWS, body=review)).accept()
    return bool(answer["status"]["allowed"])
