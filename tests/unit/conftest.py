"""Set-up that all unit tests share."""

import logging
import os
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
import structlog

from tests.support import sockets
from tests.unit.bundles import collector
from workflowexecution import logcontext

# A loaded machine is no reason to fail: an example that hangs meets the test's own time limit.
hypothesis.settings.register_profile(
    "project",
    deadline=None,
    # The same examples each time; the same variable as for the model of safety gives others.
    derandomize="WFE_TEST_SEED" not in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("project")


@pytest.fixture
async def parted() -> AsyncIterator[None]:
    """The transports of TLS close in a later turn, which the loop of a test is to have."""
    yield
    await sockets.parted()


@pytest.fixture
def there() -> Iterator[collector.Registry]:
    """A registry to push bundles to."""
    with collector.running(collector.Registry()) as found:
        yield found


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Let a test configure logging, and take it back."""
    handlers, level = logging.root.handlers[:], logging.root.level
    library = logging.getLogger("aiohttp")
    before = library.level
    yield
    logcontext.clear()
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    library.setLevel(before)
