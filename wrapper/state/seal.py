"""What the state store keeps of callers is sealed: values are encrypted (AES-256-GCM), fingerprints are keyed.

The keys are in a file beside the store, readable by its owner only: a line each, the oldest first, so that a key's number is its line.
Without the file a copied database tells nothing. Its first line is made together with the store and stays for good: fingerprints are made
with it alone, and under another one no repeat would be recognised and no person found. New values are sealed with the last line whose
time has come; all the others go on opening what they have sealed.

A value is bound to what it is (its table, column and row): moved anywhere else it does not open. Its nonce is random, 96 bits: a key is
good for 2**32 values, by when two with the same nonce are still as unlikely as one in 2**32; so rotate it before that.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wrapper.problems import NotReady
from wrapper.state.database import BadStore

FORM = 2
"""The first byte of a sealed value. A Fernet token, as versions before sealed with the first key, begins with a `g`."""
NONCE = 12
_HEAD = struct.Struct(">BH")  # the form, the key's number


class Unopened(ValueError):
    """The value was sealed with another key, or as something else."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A line of the file; values are sealed with it from `since` on (seconds since 1970)."""

    text: bytes
    since: float
    aes: AESGCM


class Seal:
    """Encrypts and decrypts JSON values, and fingerprints them. Thread-safe. A key that is added to the file is known at once."""

    def __init__(self, text: bytes, file: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        """`text` is the content of `file`. Raises ValueError when there is no key in it."""
        self._file, self._clock = file, clock
        self._keys = _read(text)
        self._read_at = _stamp(file)
        self._fernet, self._first = Fernet(self._keys[0].text), self._keys[0].text

    def close(self, value: Any, what: str, *of: object) -> bytes:
        """A JSON-ready value, sealed as `what` it is (`writes.answer`) `of` which row; decimals become text with all their digits. The
        standard library's JSON: it writes any integer."""
        number, nonce = self.newest(), os.urandom(NONCE)
        plain = json.dumps(value, default=_plain).encode()
        return _HEAD.pack(FORM, number) + nonce + self._keys[number - 1].aes.encrypt(nonce, plain, _bound(what, of))

    def open(self, sealed: bytes, what: str, *of: object) -> Any:
        """Raises Unopened, and NotReady for a key that this host's file does not have yet."""
        sealed = bytes(sealed)
        try:
            if sealed[:1] != bytes([FORM]):
                return json.loads(self._fernet.decrypt(sealed))
            number = _HEAD.unpack_from(sealed)[1]
            nonce, rest = sealed[_HEAD.size : _HEAD.size + NONCE], sealed[_HEAD.size + NONCE :]
            return json.loads(self._key(number).aes.decrypt(nonce, rest, _bound(what, of)))
        except (InvalidToken, InvalidTag, struct.error):
            raise Unopened("this value was sealed with another key, or as something else") from None

    def opens(self, sealed: bytes) -> bool:
        """Whether a value that the first version kept was sealed with this key."""
        try:
            self._fernet.decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def newest(self) -> int:
        """The number of the key that seals now."""
        self._look()
        now = self._clock()
        return max(number for number, key in enumerate(self._keys, 1) if number == 1 or key.since <= now)

    def fingerprint(self, value: Any) -> str:
        """Equal for equal values, whatever the order of their keys; says nothing about them. The same whatever key seals now."""
        plain = json.dumps(value, sort_keys=True, default=_plain, separators=(",", ":"))
        return hmac.new(self._first, plain.encode(), hashlib.sha256).hexdigest()

    def derived(self, purpose: str, number: int = 1) -> bytes:
        """32 secret bytes for another purpose, of one of the keys; the same wherever that is, and they tell nothing of it."""
        return _derived(self._key(number).text, purpose)

    def _key(self, number: int) -> _Key:
        if number > len(self._keys):
            self._look()
        if not 0 < number <= len(self._keys):
            raise NotReady(f"this host's file of the state store's keys has no line {number}: copy the file from the host that added it")
        return self._keys[number - 1]

    def _look(self) -> None:
        """A file that has changed is read again. One that is away, or is another store's, changes nothing: what is open stays open."""
        if self._file is None or (stamp := _stamp(self._file)) == self._read_at:
            return
        with suppress(OSError, ValueError):
            keys = _read(self._file.read_bytes())
            if [key.text for key in keys[: len(self._keys)]] == [key.text for key in self._keys]:
                self._keys = keys
        self._read_at = stamp


def write_key(path: Path, key: bytes = b"") -> None:
    """The key file of a new store, complete or not at all; one that is there already is kept. The key is a fresh one unless it is given."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    _write(fresh, os.O_TRUNC, lambda: key or Fernet.generate_key())
    with suppress(FileExistsError):  # another process was first: then its key is the one
        os.link(fresh, path)
    fresh.unlink()


def add_key(path: Path, since: float) -> int:
    """One more line, with which values are sealed from `since` on; its number. The file is whole at any moment, and its owner's. Raises
    BadStore."""
    fresh = path.with_name(f"{path.name}.new")
    made: list[_Key] = []

    def text() -> bytes:
        old = path.read_bytes()
        made.extend(_read(old))
        return old.strip() + b"\n" + Fernet.generate_key() + f" {int(since)}\n".encode()

    try:
        _write(fresh, os.O_EXCL, text, like=path)
        fresh.replace(path)
    except FileExistsError:
        raise BadStore(f"{fresh} is there: a key is being added right now; if nobody does, remove that file") from None
    except (OSError, ValueError) as error:
        fresh.unlink(missing_ok=True)
        raise BadStore(f"{path} can't be added to ({getattr(error, 'strerror', 'it holds no key')}): add a line where it is kept") from None
    return len(made) + 1


def seal_in(path: Path, store: str) -> Seal:
    """The seal of the store that messages call `store`, from its key file. Raises BadStore with what to do."""
    try:
        return Seal(path.read_bytes(), path)
    except FileNotFoundError:
        raise BadStore(f"{path} is missing, and {store} was sealed with it: restore both from one backup, or name a new store") from None
    except OSError as error:
        raise BadStore(f"{path} can't be read ({type(error).__name__})") from None
    except ValueError:
        raise BadStore(f"{path} holds no key, and {store} was sealed with one: restore both from one backup") from None


def _read(text: bytes) -> Sequence[_Key]:
    """Raises ValueError."""
    made = []
    for line in text.strip().splitlines():
        key, _, since = line.strip().partition(b" ")
        Fernet(key)  # it is a key
        made.append(_Key(key, float(since or 0), AESGCM(_derived(key, "seal"))))
    if not made:
        raise ValueError("no key")
    return made


def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, None, f"figway {purpose}".encode()).derive(key)


def _bound(what: str, of: Sequence[object]) -> bytes:
    return json.dumps([what, *map(str, of)]).encode()


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """Another one for another content."""
    with suppress(OSError):
        if file is not None:
            found = os.stat(file)
            return found.st_ino, found.st_mtime_ns, found.st_size
    return None


def _write(fresh: Path, flag: int, text: Callable[[], bytes], like: Path | None = None) -> None:
    """A file of its owner's alone, on the disk when this returns; its owner is that of the file that it will replace."""
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | flag, 0o600), "wb") as out:
        if like is not None:
            with suppress(PermissionError):
                there = os.stat(like)
                os.fchown(out.fileno(), there.st_uid, there.st_gid)
        out.write(text())
        out.flush()
        os.fsync(out.fileno())


def _plain(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
