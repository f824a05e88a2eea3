"""Whom connections trust, and the certificate they show: files, followed when they are replaced."""

import dataclasses
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import structlog

from workflowexecution.runtime import clock, filestate

_LOOK_EVERY_S = 60.0

R = TypeVar("R")

_log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Where certificates are; empty: none.

    Attributes:
        ca: who may have signed the server's certificate; empty takes the system's authorities.
        cert: what the client shows; goes with its key.
        verify: False trusts every server.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


class Trust:
    """A TLS context for new connections; those that are open go on as they began.

    The files are looked at each minute, and when a server's certificate was not trusted. What
    cannot be used is logged once and leaves the old context in use: the files may be in the middle
    of a change. A context that was replaced trusts no authority that is gone from the file, and
    connections that were made with it are not taken for new requests any more.
    """

    def __init__(self, files: Files) -> None:
        """Load the files.

        Raises:
            OSError: they cannot be read or used (ssl.SSLError is one).
        """
        self._files = files
        self._state = self._look()
        self._context = _load(files)
        self._look_at = float("-inf")
        self._complaint = ""

    def context(self) -> ssl.SSLContext:
        """Return the context for a request that is sent now."""
        now = clock.loop_time()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            self.renew()
        return self._context

    async def trusting(self, send: Callable[[ssl.SSLContext], Awaitable[R]]) -> R:
        """Send a request; once more if the server is trusted by what the files say now."""
        used = self.context()
        try:
            return await send(used)
        except aiohttp.ClientSSLError:
            # The handshake failed, so nothing was sent.
            self.renew()
            # Another request may have renewed it meanwhile.
            if self._context is used:
                raise
        return await send(self._context)

    def renew(self) -> None:
        """Look at the files now, and load what they say."""
        try:
            state = self._look()
            if state == self._state:
                return
            self._context = _load(self._files)
        except OSError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("Certificates cannot be loaded", ca=self._files.ca, error=str(error))
            return
        self._state, self._complaint = state, ""
        _log.info("Certificates loaded again", ca=self._files.ca)

    def _look(self) -> filestate.State:
        named = (self._files.ca, self._files.cert, self._files.key)
        return filestate.state(*filter(None, named))


def _load(files: Files) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.ca or None)
    # From 3.13 on, Python refuses the CA certificates of many clusters, which lack extensions that
    # neither client-go nor older versions ask for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if files.cert:
        context.load_cert_chain(files.cert, files.key or None)
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
