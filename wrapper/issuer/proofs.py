"""By what a client can show who it is, and where people may be sent back to: what is taken when a client is registered."""

from __future__ import annotations

import hashlib
import json
import re
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey, import_key

from wrapper.problems import RequestError

ALGORITHMS = ("ES256", "PS256", "RS256")
_KEYS = "the public part of an EC key on P-256, or of an RSA key of 2048 bits or more, as a JWK"
_URI = re.compile(r"https://[!-~]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?(/[!-~]*)?", re.ASCII)


class Unfit(RequestError):
    """It can't be registered."""


def public_key(jwk: str | bytes) -> Key:
    """What assertions may be signed with. Raises Unfit."""
    try:
        key = import_key(json.loads(jwk))
    except (ValueError, TypeError, KeyError, AttributeError, JoseError):
        raise Unfit(f"expected {_KEYS}") from None
    match key:
        case ECKey() if key.curve_name == "P-256" and not key.is_private:
            return key
        case RSAKey() if key.public_key.key_size >= 2048 and not key.is_private:
            return key
    raise Unfit(f"expected {_KEYS}")


def public_jwk(jwk: bytes) -> str:
    """As it is kept. Raises Unfit, also for a private key: that is nobody's but the client's."""
    return json.dumps(public_key(jwk).as_dict(private=False))


def fitting(key: Key) -> tuple[str, ...]:
    """The algorithms of ours that a key of its kind signs with."""
    return tuple(name for name in ALGORITHMS if name.startswith("ES") == isinstance(key, ECKey))


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate, PEM or DER, in hex. Raises Unfit."""
    try:
        load = x509.load_pem_x509_certificate if certificate.lstrip().startswith(b"-----") else x509.load_der_x509_certificate
        return hashlib.sha256(load(certificate).public_bytes(Encoding.DER)).hexdigest()
    except ValueError:
        raise Unfit("expected a certificate, PEM or DER") from None


def redirect(uri: str) -> str:
    """Where people may be sent back to. Raises Unfit."""
    if not _URI.fullmatch(uri) or "#" in uri or "@" in urlsplit(uri).netloc or not urlsplit(uri).hostname or re.search(r'["\\<>]', uri):
        raise Unfit("--redirect must be like https://app.example/callback, or http on the person's own machine; without a # part")
    return uri
