"""Tokens that stand for personal values: the same value of the same class has the same token, and nobody without the key can tell which
value that is, nor link a person across classes or tenants.

    tk1_account_number_mvzxi33ubxu4sdq...    the key's version, the class, and the value sealed with AES-SIV (RFC 5297), in base32

They are safe in JSON, CSV, file names and URLs. Equal values are equal only under one version of the key: after a rotation new tokens
differ from old ones, and both are revealed. A token tells how long its value is and no more. Who may reveal one is decided elsewhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

TOKEN = re.compile(r"tk([1-9][0-9]{0,3})_([a-z][a-z0-9_]{0,63})_([a-z2-7]{16,4096})", re.ASCII)
CLASS = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_HALVES = ("tokens", "tokens, second half")


class Secrets(Protocol):
    """Where the keys come from (the state store)."""

    def derived(self, purpose: str, number: int = ...) -> bytes: ...

    def newest_key(self) -> int: ...


class NoToken(ValueError):
    """It is not a token of this installation and tenant, or was changed."""


class Tokens:
    """Makes and opens tokens. Thread-safe. Raises NotReady while the keys can't be had."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._ciphers: dict[int, AESSIV] = {}

    def tokenise(self, kind: str, value: str, tenant: str = "") -> str:
        """The token of a value of class `kind` (a field's `pii`), for one tenant."""
        if CLASS.fullmatch(kind) is None:
            raise ValueError(f"a class of personal data is a word like account_number, met {kind!r}")
        number = self._secrets.newest_key()
        sealed = self._cipher(number).encrypt(b"." + value.encode("utf-8", "surrogatepass"), list(_about(kind, tenant)))
        return f"tk{number}_{kind}_{base64.b32encode(sealed).decode().rstrip('=').lower()}"

    def reveal(self, token: str, tenant: str = "") -> tuple[str, str]:
        """Its class and value. Raises NoToken."""
        found = TOKEN.fullmatch(token)
        if found is None or int(found[1]) > self._secrets.newest_key():
            raise NoToken("this is not a token of this installation")
        number, kind, text = int(found[1]), found[2], found[3].upper()
        try:
            sealed = base64.b32decode(text + "=" * (-len(text) % 8))
            value = self._cipher(number).decrypt(sealed, list(_about(kind, tenant)))[1:].decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError):
            raise NoToken("this token is of another installation or tenant, or was changed") from None
        return kind, value

    def _cipher(self, number: int) -> AESSIV:
        known = self._ciphers.get(number)
        if known is None:
            known = self._ciphers[number] = AESSIV(b"".join(self._secrets.derived(half, number) for half in _HALVES))
        return known


def _about(kind: str, tenant: str) -> Iterator[bytes]:
    """What a token is bound to: each part by itself, so that no two pairs are the same."""
    yield tenant.encode()
    yield kind.encode()
