"""Who vouches for a trail: an Ed25519 key that lies neither in the state store nor in the trail's folder. A signed line is a line of a
chain with its signature at the end."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from wrapper.settings import BadSettings

_MARK = b',"signature":"'
_LENGTH = len(_MARK) + 88 + len(b'"}')


def signed(line: bytes, key: Ed25519PrivateKey) -> bytes:
    """The line with its signature."""
    return line[:-1] + _MARK + b64encode(key.sign(line)) + b'"}'


def genuine(line: bytes, public: Ed25519PublicKey) -> bool:
    """Whether a line, without its newline, was signed by the key and is as it was then."""
    told = line[-_LENGTH:]
    if not told.startswith(_MARK):
        return False
    try:
        public.verify(b64decode(told[len(_MARK) : -2], validate=True), line[:-_LENGTH] + b"}")
    except (InvalidSignature, ValueError):
        return False
    return True


def make_key(file: Path) -> Path:
    """A new key, for its owner's eyes only, and beside it the public one, whose place is returned. Raises BadSettings when it is there."""
    key, public = Ed25519PrivateKey.generate(), file.with_name(file.name + ".pub")
    try:
        made = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(made, "wb") as opened:
            opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except OSError as error:
        raise BadSettings(f"no key can be made at {error.filename}: {error.strerror}") from None
    return public


def private(file: Path) -> Ed25519PrivateKey:
    """Raises BadSettings."""
    key = _loaded(file, lambda text: load_pem_private_key(text, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise BadSettings(f"{file} must hold an Ed25519 private key; `figway audit key FILE` makes one")
    return key


def public(file: Path) -> Ed25519PublicKey:
    """Raises BadSettings."""
    key = _loaded(file, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise BadSettings(f"{file} must hold an Ed25519 public key; `figway audit key` makes it beside the private one")
    return key


def _loaded(file: Path, load: object) -> object:
    try:
        return load(file.read_bytes())  # type: ignore[operator]
    except OSError as error:
        raise BadSettings(f"the audit key {file} can't be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
