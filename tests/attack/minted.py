"""Tokens and certificates for the attacks on who one is, and what asks who calls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from fixtures.issuer import Signer, signer, token
from tests.attack.parts import Attack, Control, Seen
from wrapper.access import Issuer
from wrapper.policy.keys import Caller
from wrapper.policy.known import Known
from wrapper.policy.tokens import Tokens

NAME = "https://sso.bank.example/"
ISSUER = Issuer("sso", NAME, "", "figway", claims={"customer": "customers"}, tenant="")


@cache
def key(alg: str = "ES256", kid: str = "k1", whose: str = "issuer", bits: int = 2048) -> Signer:
    return signer(alg, kid, bits)


class Nobody:
    """A store without keys."""

    def key(self, id: str) -> None:
        return None


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    usual = {"iss": NAME, "aud": "figway", "sub": "alice", "client_id": "ui", "iat": now, "exp": now + 300, "scope": "things:read"}
    return {name: value for name, value in {**usual, **more}.items() if value is not None}


def believing(
    issuer: Issuer = ISSUER, keys: tuple[Any, ...] = (), others: tuple[Any, ...] = (), certificates: Any = None, **clocks: Any
) -> Known:
    """What asks who calls, of an installation that believes this issuer with these keys."""
    shown = json.dumps({"keys": list(keys or (key().jwk(),))}).encode()
    return Known(
        Nobody(), Tokens([(issuer, lambda: shown), *others], **{k: v for k, v in clocks.items() if k == "wall"}), certificates, **clocks
    )


def called(known: Known, sent: str | None, peer: bytes | None = None) -> Caller:
    return known.caller(f"Bearer {sent}" if sent is not None else None, peer)


def taken(make: Callable[[], str], peer: Callable[[], bytes | None] = lambda: None, **how: Any) -> Callable[[Any], Seen]:
    """Got when the token is believed."""

    def act(_: Any) -> Seen:
        caller = called(believing(**how), make(), peer())
        return Seen(True, f"believed: {caller.principal} {sorted(caller.scopes)[:3]}")

    return act


def good() -> str:
    return token(key(), claims())


@cache
def certificate(name: str, san: str = "host.example", ends: int = 1) -> bytes:
    """A client certificate in DER that holds until so many days from now."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        subject, subject, private.public_key(), x509.random_serial_number(), now - timedelta(9), now + timedelta(ends)
    )
    kind = x509.UniformResourceIdentifier if san.startswith("urn:") else x509.DNSName
    return (
        made.add_extension(x509.SubjectAlternativeName([kind(san)]), critical=False)
        .sign(private, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


def minted(name: str, by: Control, make: Callable[[], str], twin: Callable[[], str] = good, **how: Any) -> Attack:
    return Attack(f"token.{name}", "tokens", by, taken(make, **how), taken(twin, **how))


def claimed(name: str, by: Control, **more: Any) -> Attack:
    return minted(name, by, lambda: token(key(), claims(**more)))
