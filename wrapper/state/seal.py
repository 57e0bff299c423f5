"""What the state store keeps of callers is sealed: parameters and answers are encrypted, fingerprints are keyed.

The key is a file beside the store, readable by its owner only; without it a copied database tells nothing. It is made together with
the store and never again: under another key no repeat would be recognised, and no job could be read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wrapper.state.database import BadStore


class Seal:
    """Encrypts and decrypts JSON values, and fingerprints them."""

    def __init__(self, key: bytes) -> None:
        self._fernet, self._key = Fernet(key), key

    def close(self, value: Any) -> bytes:
        """A JSON-ready value, sealed; decimals become text with all their digits. The standard library's JSON: it writes any integer."""
        return self._fernet.encrypt(json.dumps(value, default=_plain).encode())

    def open(self, sealed: bytes) -> Any:
        """Raises ValueError when it was sealed with another key."""
        try:
            return json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise ValueError("this value was sealed with another key") from None

    def opens(self, sealed: bytes) -> bool:
        """Whether it was sealed with this key."""
        try:
            self._fernet.decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def fingerprint(self, value: Any) -> str:
        """Equal for equal values, whatever the order of their keys; says nothing about them."""
        plain = json.dumps(value, sort_keys=True, default=_plain, separators=(",", ":"))
        return hmac.new(self._key, plain.encode(), hashlib.sha256).hexdigest()

    def derived(self, purpose: str) -> bytes:
        """32 secret bytes for another purpose; the same wherever the key is, and they tell nothing of it."""
        return HKDF(SHA256(), 32, None, f"figway {purpose}".encode()).derive(self._key)


def write_key(path: Path, key: bytes = b"") -> None:
    """The key file of a new store, complete or not at all; one that is there already is kept. The key is a fresh one unless it is given."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(key or Fernet.generate_key())
        out.flush()
        os.fsync(out.fileno())
    with suppress(FileExistsError):  # another process was first: then its key is the one
        os.link(fresh, path)
    fresh.unlink()


def seal_in(path: Path, store: str) -> Seal:
    """The seal of the store that messages call `store`, from its key file. Raises BadStore with what to do."""
    try:
        return Seal(path.read_bytes().strip())
    except FileNotFoundError:
        raise BadStore(f"{path} is missing, and {store} was sealed with it: restore both from one backup, or name a new store") from None
    except OSError as error:
        raise BadStore(f"{path} can't be read ({type(error).__name__})") from None
    except ValueError:
        raise BadStore(f"{path} holds no key, and {store} was sealed with one: restore both from one backup") from None


def _plain(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
