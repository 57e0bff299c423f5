"""The evidence report of a move: a document that anybody can read, and check that nobody has changed it since it was signed.

Signed with Ed25519 over canonical JSON: keys in order, no blanks. It holds counts and classes, never a customer's value. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class BadReport(ValueError):
    """It is no report, or not as it was signed, or signed by somebody else."""


def signed(document: Mapping[str, Any], secret: bytes) -> str:
    """The text that is kept: the document and its signature. `secret` is the Ed25519 key's seed."""
    raise NotImplementedError


def verify(text: str, public: bytes | None = None) -> dict[str, Any]:
    """The document, when every byte of `text` is as it was signed, by the key `public` where it is given, else by the key that the document
    itself names: then compare the fingerprint. Raises BadReport."""
    raise NotImplementedError


def public_key(secret: bytes) -> bytes:
    """What belongs to `secret` and may be given to anybody who verifies."""
    raise NotImplementedError


def as_html(text: str) -> str:
    """A page for people, to print too, of what signed() gave. It verifies nothing."""
    raise NotImplementedError
