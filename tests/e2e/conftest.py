from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import place, program

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def where() -> Iterator[place.Place]:
    """The cluster, prepared."""
    with place.find() as found:
        found.prepare()
        yield found


@pytest.fixture(scope="session")
def accounts() -> dict[str, list[str]]:
    """The service accounts that executions of this suite may name."""
    allowed = [place.ACCOUNT, place.OTHER_ACCOUNT, place.MISSING_ACCOUNT]
    return {"allowedServiceAccounts": allowed}


@pytest.fixture(scope="module")
def controller(
    where: place.Place, accounts: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[program.Program]:
    """The program, running for all tests of a module."""
    folder = tmp_path_factory.mktemp("controller")
    with program.running(folder, where.kubectl.kubeconfig, execution=accounts) as running:
        yield running
