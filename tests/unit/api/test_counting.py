import pytest

from workflowexecution.api import counting


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        pytest.param(
            "Tasks Completed: 4 (Failed: 1, Cancelled 2), Skipped: 3",
            counting.Counts(done=7, failed=1, cancelled=2), id="final",
        ),
        pytest.param(
            "Tasks Completed: 4 (Failed: 3 (Ignored: 2), Cancelled 0), Skipped: 0",
            counting.Counts(done=4, failed=1, cancelled=0), id="ignored",
        ),
        pytest.param(
            "Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 2, Skipped: 1",
            counting.Counts(done=2, failed=0, cancelled=0), id="under-way",
        ),
        pytest.param(
            'Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0, Failed Validation: 1 (x)',
            counting.Counts(done=1, failed=0, cancelled=0), id="validation",
        ),
        pytest.param('PipelineRun "x" was cancelled', None, id="none"),
    ],
)  # fmt: skip
def test_counts_are_read_from_what_tekton_says(
    message: str, counts: counting.Counts | None
) -> None:
    assert counting.read(message) == counts
