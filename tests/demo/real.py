"""The stage of `make demo-real`: the stack, real Tekton, real containers, bundles in a registry."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.demo import story
from tests.stack import cluster, images
from tests.support import kubectl, place, workflows
from tests.support.workflows import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.screen import Screen

DEADLINE_S = 180.0


@contextlib.contextmanager
def raised(screen: Screen) -> Iterator[story.Stage]:
    """A stack of its own, with both workflows pushed; nothing of it is left afterwards."""
    screen.say("starting a real cluster: etcd, kube-apiserver, kubelet, containerd, Tekton")
    with cluster.Stack(name="demo", parts=cluster.Parts.FULL) as stack:
        hands = kubectl.Kubectl(str(stack.program("kubectl")), stack.kubeconfig)
        where = place.Place(hands, stack.registry, images.STEP, "Never")
        where.prepare()
        version = hands("version", "-o", "yaml").partition("serverVersion")[2]
        gits = [line.split(": ")[1] for line in version.splitlines() if "gitVersion" in line]
        screen.say(f"Kubernetes {gits[0]} and Tekton are ready")
        check = Task("check", "echo checking the deployment; sleep 1")
        restart = Task("restart", "echo restarting; sleep 1; echo rolled out")
        drain = Task("drain", "echo draining; sleep 1; echo queue is not empty >&2; exit 42")
        bundles = {}
        for name, last in ((story.GOOD, restart), (story.BAD, drain)):
            pushed = workflows.push(where, name, check, last, params=("REASON",))
            bundles[name] = pushed.reference
            screen.say(f"pushed bundle {pushed.reference}")
        yield story.Stage(stack.kubeconfig, bundles, DEADLINE_S)
        screen.say("ending the cluster")
