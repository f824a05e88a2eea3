from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import installation, place, program, rights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def where() -> Iterator[place.Place]:
    """The cluster."""
    with place.find() as found:
        yield found


@pytest.fixture(scope="session")
def account(where: place.Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of the controller's account, in a cluster with all that it needs."""
    return where.install(tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="session", autouse=True)
def _nothing_refused(where: place.Place, account: Path) -> Iterator[None]:
    """No request of a controller of this suite is one that its roles forbid."""
    assert account.exists()
    yield
    if where.audit_log is not None:
        assert rights.account_of(where.audit_log, installation.USER).refused == ()


@pytest.fixture(scope="session")
def accounts() -> dict[str, list[str]]:
    """The service accounts that executions of this suite may name."""
    allowed = [place.ACCOUNT, place.OTHER_ACCOUNT, place.MISSING_ACCOUNT]
    return {"allowedServiceAccounts": allowed}


@pytest.fixture(scope="module")
def controller(
    account: Path, accounts: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[program.Program]:
    """The program, running for all tests of a module."""
    folder = tmp_path_factory.mktemp("controller")
    with program.running(folder, account, execution=accounts) as running:
        yield running
