"""The fake cluster does what a kube-apiserver does: the contract suite, in virtual time."""

import pytest

from tests.contract.suite import *  # noqa: F403 - whatever is in it

pytestmark = pytest.mark.looptime
