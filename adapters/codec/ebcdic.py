"""EBCDIC code pages by name. Python has a few; the `ebcdic` package registers the rest (cp1047, cp285, cp1141, ...)."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import ebcdic as _package

SPACE = 0x40
CODEPAGES: frozenset[str] = frozenset(name for name in _package.codec_names if not name.endswith("ms"))
"""Every name that code_page() takes. The package's `cp500ms` and `cp1148ms` are left out: they can't encode a digit (ebcdic 2.0.1)."""


@dataclass(frozen=True, slots=True)
class CodePage:
    """Text <-> bytes, one byte a character, nothing replaced: what a page does not have is a UnicodeError. `voids` are the characters
    to which the package decodes bytes that mean nothing (U+FFFD, or SUB), and which it would encode, too."""

    name: str
    info: codecs.CodecInfo
    voids: frozenset[str]

    def encode(self, text: str) -> bytes:
        """Raises UnicodeError, whose text may hold the character: do not show it."""
        self._check(text)
        return bytes(self.info.encode(text, "strict")[0])

    def decode(self, raw: bytes) -> str:
        """Raises UnicodeError."""
        text = str(self.info.decode(raw, "strict")[0])
        self._check(text)
        return text

    def _check(self, text: str) -> None:
        if not self.voids.isdisjoint(text):
            raise UnicodeError(f"not a character of {self.name}")


def code_page(name: str) -> CodePage:
    """Raises ValueError for a name outside CODEPAGES."""
    if name not in CODEPAGES:
        raise ValueError(f"'{name}' is not an EBCDIC code page")
    info = codecs.lookup(name)
    everything = info.decode(bytes(range(256)), "replace")[0]
    return CodePage(name, info, frozenset(c for c in "\ufffd\x1a" if everything.count(c) > 1) | {"\ufffd"})
