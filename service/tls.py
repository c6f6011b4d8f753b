"""TLS of a process: its certificate, renewed while it runs, and the authority that it trusts."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from service.settings import BadSettings, Process

RENEWAL_SECONDS = 60.0
log = logging.getLogger(__name__)


class Tls:
    """
    The TLS contexts of a process: `server` to serve HTTPS, `client` to call nodes; None without their files.

    With an authority, a node admits only callers with a certificate of it, and a router calls only such nodes. Names in
    certificates are ignored, since nodes are found by their tags and have no names. Raises BadSettings, which names the
    file that can't be used.
    """

    def __init__(self, process: Process) -> None:
        self._chain = (process.tls_certificate, process.tls_key)
        authority = process.tls_authority
        if bool(process.tls_certificate) != bool(process.tls_key) or (authority and not process.tls_certificate):
            raise BadSettings(
                "VECTORFLEET_TLS_CERTIFICATE and VECTORFLEET_TLS_KEY go together, and VECTORFLEET_TLS_AUTHORITY needs "
                f"both; given are {', '.join(self._given(process)) or 'none'}"
            )
        self.server = self._context(ssl.PROTOCOL_TLS_SERVER) if process.tls_certificate else None
        self.client = self._context(ssl.PROTOCOL_TLS_CLIENT) if authority else None
        if self.client is not None:
            self.client.check_hostname = False
            _trust(self.client, authority)
        if self.server is not None and authority and process.role == "node":
            self.server.verify_mode = ssl.CERT_REQUIRED
            _trust(self.server, authority)
        self._seen = self._changed_at()

    @staticmethod
    def _given(process: Process) -> list[str]:
        names = ("tls_certificate", "tls_key", "tls_authority")
        return [f"VECTORFLEET_{name.upper()}" for name in names if getattr(process, name)]

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(*self._chain, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise BadSettings(
                f"{self._chain[0]} and {self._chain[1]} are not a certificate and its key, in PEM and without "
                f"a password: {error}"
            ) from error
        return context

    def _changed_at(self) -> list[int]:
        return [Path(path).stat().st_mtime_ns for path in self._chain if path]

    async def renew(self) -> None:
        """Load a replaced certificate, which counts from the next connection on, for ever."""
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            try:
                self.look()
            except (OSError, ssl.SSLError) as error:
                log.warning("the new certificate can't be used; the old one stays", extra={"reason": str(error)})

    def look(self) -> None:
        """Load the certificate again if its files have changed; raise OSError and keep the old one."""
        changed_at = self._changed_at()
        if changed_at == self._seen:
            return
        # The files are written one after the other, so a pair may not match: it is tried on another context first.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._chain, password=_no_password)
        for context in filter(None, (self.server, self.client)):
            context.load_cert_chain(*self._chain, password=_no_password)
        self._seen = changed_at
        log.info("certificate renewed", extra={"file": self._chain[0]})


def _trust(context: ssl.SSLContext, authority: str) -> None:
    try:
        context.load_verify_locations(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise BadSettings(f"{authority} is not a certificate of an authority in PEM: {error}") from error


def _no_password() -> str:
    """Return no password, where OpenSSL would ask for one on the terminal."""
    return ""
