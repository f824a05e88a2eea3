"""What is done to so many calls and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy.calls import Call


class Counted:
    """Is for the next calls that fit.

    Attributes:
        fits: whether a call is one of them.
        left: how many more, None for all.
        met: how many it was for by now.
    """

    fits: Callable[[Call], bool]
    left: int | None
    met: int = 0

    def end(self) -> None:
        """Be for no more."""
        self.left = 0

    def take(self, call: Call) -> bool:
        """Whether it is for this call, which is counted."""
        if self.left == 0 or not self.fits(call):
            return False
        if self.left is not None:
            self.left -= 1
        self.met += 1
        return True
