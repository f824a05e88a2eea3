"""What the documents tell people to type and to apply, typed and applied on the real cluster."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stack import images
from tests.support import examples, pages, place, program, reader, workflows
from tests.support.workflows import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark.structures import ParameterSet

    from tests.support.pages import Block, Page

IMAGE = os.environ.get("WFE_TEST_KUBECTL_IMAGE", images.KUBECTL)
# The executions that pages speak of, by name, with what their only step does.
SPOKEN_OF = {
    "restart-payment-api": ("payment-api", "Completed", "true"),
    "drain-payment-queue": ("payment-queue", "Failed", "echo stuck; exit 42"),
}


def followed() -> list[ParameterSet]:
    return [pytest.param(page, id=page.name) for page in pages.pages() if page.of("stack")]


def words(where: place.Place) -> dict[str, str]:
    """What a reader here reads for the names of registries and images."""
    return {
        "registry.example/tools/workflow-tools:1.0.0": IMAGE,
        r"registry\.example": re.escape(where.registry),
        "registry.example": where.registry,
    }


@pytest.fixture(scope="module")
def world(
    where: place.Place, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A controller, a workload, and the executions that pages speak of."""
    folder = tmp_path_factory.mktemp("controller")
    made = examples.workload(where)
    where.kubectl.apply(*made)
    with program.running(folder, account, controller={"leaderElection": True}):
        for name, (target, phase, script) in SPOKEN_OF.items():
            pushed = workflows.push(where, name, Task("drain", script))
            resource = f"{place.TEAM}/deployment/{target}"
            where.kubectl.apply(workflows.execution(name, pushed, targetResource=resource))
            where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.phase", phase)
        yield
        where.kubectl("delete", "wfe", "--all", "-n", place.TEAM, "--timeout=90s")
    names = [f"{it['kind']}/{it['metadata']['name']}" for it in made]
    where.kubectl("delete", *names, "-n", place.TEAM)


@pytest.fixture
def undone(where: place.Place) -> Iterator[None]:
    """What pages change for everybody is as it was."""
    yield
    where.kubectl("delete", "verificationpolicy", "--all", "-n", place.NAMESPACE)
    where.kubectl(
        "patch", "configmap", "feature-flags", "-n", "tekton-pipelines", "--type=merge",
        "-p", '{"data":{"trusted-resources-verification-no-match-policy":"ignore"}}',
    )  # fmt: skip
    where.kubectl("delete", "rolebinding", "--all", "-n", place.TEAM)
    made = where.kubectl("get", "wfe", "-n", place.TEAM, "-o", "name").split()
    asked = [it for it in made if it.rpartition("/")[2] not in SPOKEN_OF]
    if asked:
        where.kubectl("delete", *asked, "-n", place.TEAM, "--timeout=90s")
    for name in examples.names():
        for it in examples.documents(name, "account.yaml"):
            what = f"{it['kind']}/{it['metadata']['name']}"
            where.kubectl("delete", what, "-n", place.NAMESPACE, "--ignore-not-found")


@pytest.mark.usefixtures("world", "undone")
@pytest.mark.parametrize("page", followed())
def test_commands_of_a_page_do_what_it_says(where: place.Place, page: Page, tmp_path: Path) -> None:
    environment = {
        "KUBECONFIG": str(where.kubectl.kubeconfig),
        "REGISTRY": where.registry,
        "PATH": f"{Path(where.kubectl.program).parent}:{os.environ['PATH']}",
    }
    with reader.reading(tmp_path, environment=environment, words=words(where)) as somebody:
        for block in page.blocks:
            if block.kind == "stack" or block.file:
                somebody.follow(block)


def objects() -> list[Block]:
    return [block for page in pages.pages() for block in page.of("object")]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("block", objects(), ids=lambda it: it.place)
def test_objects_of_a_page_are_taken_by_the_api_server(where: place.Place, block: Block) -> None:
    where.kubectl("apply", "--dry-run=server", "-f", "-", stdin=block.text)
