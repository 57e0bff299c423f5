"""What the state store keeps of callers is sealed: parameters and answers are encrypted, fingerprints are keyed.

The key is a file beside the store, readable by its owner only; without it a copied database tells nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken


class Seal:
    """Encrypts and decrypts JSON values, and fingerprints them."""

    def __init__(self, key: bytes) -> None:
        self._fernet, self._key = Fernet(key), key

    def close(self, value: Any) -> bytes:
        """A JSON-ready value, sealed; decimals become text."""
        return self._fernet.encrypt(orjson.dumps(value, default=str))

    def open(self, sealed: bytes) -> Any:
        """Raises ValueError when it was sealed with another key."""
        try:
            return orjson.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise ValueError("this value was sealed with another key: is the key file the one that belongs to this store?") from None

    def fingerprint(self, value: Any) -> str:
        """Equal for equal values, whatever the order of their keys; says nothing about them."""
        plain = json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))
        return hmac.new(self._key, plain.encode(), hashlib.sha256).hexdigest()


def seal_beside(store: Path) -> Seal:
    """The store's seal; its key file `<store>.key` is made on first use, complete or not at all."""
    path = store.with_name(store.name + ".key")
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(Fernet.generate_key())
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(fresh, path)  # fails when another process was first: then its key is the one
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return Seal(path.read_bytes())
