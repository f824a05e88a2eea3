"""What is put right before an API server is started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack import controlplane

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        pytest.param(b"{}\n{}\n", b"{}\n{}\n", id="whole"),
        pytest.param(b'{}\n{"kind', b"{}\n", id="killed-in-a-line"),
        pytest.param(b'{"kind', b"", id="killed-in-the-first-line"),
        pytest.param(b"", b"", id="nothing-written"),
    ],
)
def test_audit_log_ends_with_a_whole_line_for_the_next_server(
    tmp_path: Path, left: bytes, kept: bytes
) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(left)
    controlplane.end_with_whole_line(log)
    assert log.read_bytes() == kept


def test_audit_log_of_a_server_that_never_ran_is_no_trouble(tmp_path: Path) -> None:
    controlplane.end_with_whole_line(tmp_path / "audit.log")
    assert list(tmp_path.iterdir()) == []
