"""A failed run of which something is still there, for the tests of what becomes of it."""

from __future__ import annotations

from typing import Any

from tests import builders
from tests.unit.reconciler.mirrored import REF
from tests.unit.reconciler.test_stopped import Stopping
from workflowexecution.api import names

WAITING = builders.step(ran=False, exit_code=1)
FORCED = {
    names.ANNOTATION_CANCEL_CAUSE: "user",
    names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(1),
    names.ANNOTATION_CANCEL_FORCED_AT: builders.stamp(2),
}


class Lingering(Stopping):
    """A failed run whose pod has not begun, and might."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 - as Stopping
        super().__init__(**parts)
        condition = ("False", "CreateContainerConfigError", "configmap x not found")
        self.children = (builders.task(condition=condition, steps=[WAITING]),)
        self.world.engine.working = {REF["uid"]}
