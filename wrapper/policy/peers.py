"""Client certificates: a caller known by its certificate alone, and tokens that only the holder of one may use (RFC 8705).

Whoever ends TLS (the worker, or the proxy that is trusted) has checked the chain and that the caller holds the key; here it is only asked
who that is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

from cryptography import x509

from wrapper.access import Certificate
from wrapper.policy import bearer
from wrapper.policy.keys import Caller, Vouched


def thumbprint(peer: bytes) -> str:
    """The x5t#S256 of a certificate in DER."""
    return base64.urlsafe_b64encode(hashlib.sha256(peer).digest()).rstrip(b"=").decode()


def holds(peer: bytes | None, bound: str) -> bool:
    """Whether the peer showed the certificate with this x5t#S256."""
    return peer is not None and hmac.compare_digest(thumbprint(peer).encode(), bound.encode())


class Certificates:
    """The callers of access.yaml that are known by their certificate."""

    def __init__(self, known: Sequence[Certificate] = (), wall: Callable[[], float] = time.time) -> None:
        self._known, self._wall = tuple(known), wall

    def authenticate(self, peer: bytes) -> Vouched:
        """The caller whose certificate this is. Raises Unauthenticated, also where two callers could be meant."""
        try:
            shown = x509.load_der_x509_certificate(peer)
            names = _names(shown)
        except ValueError:
            raise bearer.unknown() from None
        now, ends = self._wall(), shown.not_valid_after_utc.timestamp()
        if not shown.not_valid_before_utc.timestamp() <= now < ends:
            raise bearer.unknown("the client certificate has expired, or is not valid yet; ")
        print = hashlib.sha256(peer).hexdigest()
        found = [one for one in self._known if (one.san in names if one.san else hmac.compare_digest(one.sha256, print))]
        if len(found) != 1:
            raise bearer.unknown("the client certificate is that of no caller known here; ")
        one = found[0]
        caller = Caller(f"cert:{one.name}", one.scopes, one.purposes, one.claims, one.tenant, via="certificate")
        return Vouched(caller, ends)


def _names(shown: x509.Certificate) -> set[str]:
    """Its DNS names and URIs; a DNS name that looks like a URI is none."""
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    hosts = {name.lower() for name in names.get_values_for_type(x509.DNSName) if ":" not in name}
    return hosts | {name for name in names.get_values_for_type(x509.UniformResourceIdentifier) if ":" in name}
