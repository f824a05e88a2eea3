"""The stage of `make demo`: the in-process cluster with a simulated Tekton, over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.screen import Screen


async def tell(screen: Screen, folder: Path) -> None:
    raise NotImplementedError
