"""An outage of the Data Storage under load: each transition that was written is recorded once.

The witness is the API server's audit log. `python -m tests.outage` is the whole of it, with the
comparison of memory and latencies, which takes longer than a test may.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.outage import course, verdict
from tests.outage.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger(__name__)

SHORT = pytest.param(0.2, id="short", marks=pytest.mark.timeout(600))
WHOLE = pytest.param(10.0, id="whole", marks=[pytest.mark.long, pytest.mark.timeout(3600)])


@pytest.mark.requirement("BR-WF-005", "Audit records written to Data Storage")
@pytest.mark.parametrize("minutes", [SHORT, WHOLE])
def test_outage_under_load_loses_and_doubles_no_record(tmp_path: Path, minutes: float) -> None:
    struck = course.run(Schedule(minutes), tmp_path / "with", LOG.info)
    assert verdict.wrongs(struck) == []
    if Schedule(minutes).is_long:
        plain = course.run(Schedule(minutes, faulty=False), tmp_path / "without", LOG.info)
        assert verdict.wrongs(plain) + verdict.beyond(struck, plain) == []
