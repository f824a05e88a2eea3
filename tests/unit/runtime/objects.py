"""Objects and kinds for the tests of the runtime."""

import dataclasses
from typing import Any

from workflowexecution.runtime import resource

WIDGETS = resource.Resource("example.org", "v1", "widgets", "Widget")
PODS = resource.Resource("", "v1", "pods", "Pod")


def key(name: str = "one", namespace: str = "space") -> resource.ObjectKey:
    return resource.ObjectKey(namespace, name)


@dataclasses.dataclass(frozen=True, slots=True)
class Widget:
    """A projected object with a color to index by; colors are separated by commas."""

    key: resource.ObjectKey
    uid: str
    resource_version: str
    color: str = ""


def widget(name: str = "one", version: str = "1", *, uid: str = "", color: str = "") -> Widget:
    return Widget(key(name), uid or f"uid-{name}", version, color)


def raw(name: str = "one", version: str = "1", *, uid: str = "", color: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "metadata": {
            "namespace": "space",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": version,
        },
        "spec": {"color": color},
    }


def project(item: dict[str, Any]) -> Widget:
    """Project a raw widget; one of color `poison` cannot be."""
    color = item["spec"]["color"]
    if color == "poison":
        message = "unreadable"
        raise ValueError(message)
    metadata = item["metadata"]
    return Widget(resource.key_of(item), metadata["uid"], metadata["resourceVersion"], color)


def colors(cached: Widget) -> list[str]:
    return [color for color in cached.color.split(",") if color]
