"""Who a request comes from: the caller's address, and the client certificate that was verified, ours or the trusted proxy's word for it.

A proxy is trusted by the network that it connects from and by nothing else. What it alone may say is refused when anybody else says it:
such a request was made to pass for another one. Pure; knows no transport.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

from wrapper.access import Network, Proxy
from wrapper.problems import RequestError

ADDRESS, PEER = "figway.address", "figway.peer"
"""Where a request's environ has its caller's address, and the DER bytes of the caller's verified certificate, if there is one."""
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*", re.ASCII)
_HOP = re.compile(r"\[(?P<v6>[0-9A-Fa-f:.]+)\](?::\d{1,5})?|(?P<v4>[0-9.]+):\d{1,5}", re.ASCII)


def address(environ: Mapping[str, Any]) -> str:
    """The caller's, for limits and records."""
    return str(environ.get(ADDRESS) or environ.get("REMOTE_ADDR", ""))


def place(proxy: Proxy | None, environ: dict[str, Any]) -> None:
    """Put both into `environ`; there, PEER is what our own TLS has verified so far. Raises RequestError (400)."""
    address = _plain(environ.get("REMOTE_ADDR") or "0.0.0.0")  # noqa: S104 - of a server that does not say it
    if proxy is not None:
        if _within(proxy.networks, address):
            environ.pop(PEER, None)  # that of the proxy itself
            address = _first(proxy.networks, environ.get("HTTP_X_FORWARDED_FOR", ""), address)
            if peer := _certificate(proxy, environ):
                environ[PEER] = peer
        elif _header(proxy) in environ:
            raise RequestError(f"{proxy.certificate} is for the proxy alone to send")
    environ[ADDRESS] = address


def _header(proxy: Proxy) -> str:
    """Where the header is in an environ; nowhere, if the proxy has none."""
    return "HTTP_" + proxy.certificate.upper().replace("-", "_")


def _certificate(proxy: Proxy, environ: Mapping[str, Any]) -> bytes | None:
    """A header that was sent twice has a comma, which a percent-encoded PEM has not."""
    told = environ.get(_header(proxy), "")
    if not told:
        return None
    pem = _PEM.fullmatch(unquote(told))
    try:
        if pem is not None and "," not in told:
            return binascii.a2b_base64("".join(pem[1].split()), strict_mode=True)
    except binascii.Error:
        pass
    raise RequestError(f"{proxy.certificate} must be there once and be one certificate, as PEM with percent-encoding")


def _first(networks: tuple[Network, ...], forwarded: str, address: str) -> str:
    """From here back to where the proxies end: only they can be believed about whom they were asked by."""
    for hop in reversed([hop for hop in map(str.strip, forwarded.split(",")) if hop]):
        found = _HOP.fullmatch(hop)
        address = _plain(found["v6"] or found["v4"] if found else hop.partition("%")[0])
        if not _within(networks, address):
            break
    return address


@lru_cache(4096)
def _plain(address: str) -> str:
    """One spelling for each address."""
    try:
        made = ip_address(address)
    except ValueError:
        raise RequestError("X-Forwarded-For must list addresses") from None
    return str(getattr(made, "ipv4_mapped", None) or made)


@lru_cache(4096)
def _within(networks: tuple[Network, ...], address: str) -> bool:
    made = ip_address(address)
    return any(made in network for network in networks)
