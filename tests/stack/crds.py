"""Installing CustomResourceDefinitions so that their objects can be created at once."""

import functools
from collections.abc import Iterable

from tests.stack import api

_DEADLINE_S = 30.0


def install(client: api.Api, crds: Iterable[api.JsonObject]) -> None:
    """Apply CRDs and wait until each is served.

    Raises:
        ApiFailure: The apiserver refused one.
        NotReady: One is not served in time.
    """
    installed = [client.apply(crd) for crd in crds]
    for crd in installed:
        name = crd["metadata"]["name"]
        missing = functools.partial(_missing, client, name)
        api.wait_for(f"CRD {name}", missing, deadline_s=_DEADLINE_S)


def _missing(client: api.Api, name: str) -> str | None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    crd = client.json("GET", path)
    # Null, not absent, until the first one is known.
    conditions = crd.get("status", {}).get("conditions") or []
    if not any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
        return "it is not established"
    # Established comes shortly before the resource is in discovery, and served.
    group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
    for version in crd["spec"]["versions"]:
        path = f"/apis/{group}/{version['name']}/{plural}?limit=1"
        if version["served"] and not client.exists(path):
            return f"{version['name']} is not served"
    return None
