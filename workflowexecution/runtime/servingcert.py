"""The certificate of a port of this process, taken anew when its files change."""

import asyncio
import ssl

import structlog

from workflowexecution.runtime import filestate

_LOOK_EVERY_S = 10.0

_log = structlog.get_logger(__name__)


class ServingCertificate:
    """A TLS context whose certificate follows its files, as a renewed Secret replaces them.

    A pair that cannot be used is logged once, and the one before goes on serving: the files may be
    in the middle of a change.
    """

    def __init__(self, *, cert_file: str, key_file: str) -> None:
        """Load the files.

        Raises:
            OSError: they cannot be read, or do not belong together (ssl.SSLError is one).
        """
        self._files = (cert_file, key_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """For new connections; those that are open keep what they began with."""
        self._complaint = ""
        self._loaded = filestate.state(*self._files)
        self.context.load_cert_chain(*self._files)

    async def run(self) -> None:
        """Follow the files until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self._follow()

    def _follow(self) -> None:
        try:
            state = filestate.state(*self._files)
            if state == self._loaded:
                return
            # A pair that does not fit would leave the context in use without a key.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
        except OSError as error:
            self._complain(str(error))
            return
        self._loaded = state
        self._complaint = ""
        _log.info("Certificate loaded again", file=self._files[0])

    def _complain(self, error: str) -> None:
        if error != self._complaint:
            self._complaint = error
            _log.warning("Certificate cannot be loaded", file=self._files[0], error=error)
