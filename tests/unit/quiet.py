"""One that is told everything, and says nothing."""

from workflowexecution.runtime import controller, resource


class Quiet:
    """The observer where a test asks nothing about what one sees."""

    def seen(
        self, kind: resource.Resource, object_key: resource.ObjectKey, uid: str, version: str, /
    ) -> None:
        pass

    def relist_begun(self, kind: resource.Resource, /) -> int:
        return 0

    def relisted(self, kind: resource.Resource, number: int, /) -> None:
        pass

    def caught_up(self, lag_s: float) -> None:
        pass

    def reconciled(self, outcome: controller.Outcome, duration_s: float) -> None:
        pass
