"""What the API server answers when it refuses."""

from workflowexecution.runtime import errors


def refusal(kind: type[errors.ApiError], message: str = "", *causes: str) -> errors.ApiError:
    """An answer of the API server that refuses."""
    return kind(errors.Refusal(status=400, reason="Test", message=message, causes=causes))
