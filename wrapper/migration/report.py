"""The evidence report of a move: a document that anybody can read, and can tell that nobody has changed it since it was signed.

Signed with Ed25519 over canonical JSON: keys in order, no blanks. It holds counts and classes, never a customer's value. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wrapper.migration.evidence import Seen
from wrapper.migration.facts import Facts, quantile
from wrapper.units import instant

PURPOSE = "evidence reports"
"""Of the key: see Seal.derived."""
_FIRST = ("endpoint", "gate", "number", "at", "from", "to", "who", "second", "ticket", "why", "met", "there", "asked", "gates", "obstacles")
"""What a reader looks for, in this order; the rest comes by its name."""
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem } ul { margin: .2rem 0; padding-left: 1.2rem }
table { border-collapse: collapse; width: 100% } th { background: #f2f2f2; font-weight: 600 }
th, td { border: 1px solid #bbb; padding: .25rem .5rem; text-align: left; vertical-align: top; overflow-wrap: anywhere }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .75rem }
@media print { body { margin: 0; font-size: 11px } h2, tr { break-inside: avoid; break-after: auto } }
"""


class BadReport(ValueError):
    """It is no report, or not as it was signed, or signed by somebody else."""


def evidence(facts: Facts) -> dict[str, Any]:
    """What an epoch has shown: all of it that is no customer's."""
    epoch, counts = facts.epoch, {name: int(n) if float(n).is_integer() else n for name, n in facts.counts.items()}
    return {
        "build": epoch.build,
        "catalogue": epoch.catalogue,
        "rules": epoch.rules,
        "from": instant(facts.began),
        "to": instant(facts.last),
        "keys": _keys(facts.seen) | {"in the last 24 hours": facts.day},
        "legacy with itself": _keys(facts.noise),
        "comparisons": _named(counts, "equal", "different", "skipped", "skew"),
        "not made": _named(counts, "dropped", "unasked"),
        "reasons": {name: n for name, n in sorted(counts.items()) if name.startswith(("unasked:", "skipped:"))},
        "differences by class": {name[6:]: n for name, n in sorted(counts.items()) if name.startswith("class:")},
        "answers that held": {name: n for name, n in sorted(counts.items()) if "=" in name and name.partition("=")[0].isidentifier()},
        "milliseconds": {side: {"p50": _ms(counts, side, 0.5), "p95": _ms(counts, side, 0.95)} for side in ("legacy", "modern")},
        "modern": _named(counts, "asked_modern", "failed_modern"),
        "scores": _named(counts, "scored", "score_distance", "score_flips"),
    }


def signed(document: Mapping[str, Any], secret: bytes) -> str:
    """The text that is kept: the document with the key that signs it, and its signature. `secret` is 32 bytes, the Ed25519 key."""
    public = public_key(secret)
    key = {"algorithm": "Ed25519", "public": public.hex(), "fingerprint": fingerprint(public)}
    whole = {**document, "key": key}
    return _sealed(whole, Ed25519PrivateKey.from_private_bytes(secret).sign(_canonical(whole).encode()))


def verify(text: str, public: bytes | None = None) -> dict[str, Any]:
    """The document, when every byte of `text` is as it was signed, by the key `public` where it is given, else by the key that the document
    itself names: then compare the fingerprint. Raises BadReport."""
    document, signature = _parts(text)
    try:
        named = bytes.fromhex(document["key"]["public"])
        if public is not None and named != public:
            raise BadReport(f"the report was signed with the key {fingerprint(named)}, expected {fingerprint(public)}")
        Ed25519PublicKey.from_public_bytes(named).verify(signature, _canonical(document).encode())
    except (KeyError, TypeError, ValueError, RecursionError, InvalidSignature) as error:
        if isinstance(error, BadReport):
            raise
        raise BadReport("the report is not as it was signed: it was changed") from None
    if _sealed(document, signature) != text:
        raise BadReport("the report is not written as it was signed: it was changed")
    return document


def public_key(secret: bytes) -> bytes:
    """What belongs to `secret` and may be given to anybody who verifies."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def fingerprint(public: bytes) -> str:
    """By which people compare keys."""
    return f"SHA256:{sha256(public).hexdigest()}"


def as_html(text: str) -> str:
    """A page for people, to print too, of what signed() gave. It verifies nothing. Raises BadReport for what is no report."""
    document, signature = _parts(text)
    title = f"{document.get('endpoint')}: {document.get('from')} to {document.get('to')}"
    plain = {name: value for name, value in document.items() if not isinstance(value, dict | list)}
    parts = [_shown(plain), *(f"<h2>{escape(name)}</h2>{_shown(document[name])}" for name in _in_order(document) if name not in plain)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>'
        f"<h1>Evidence report: {escape(title)}</h1>{''.join(parts)}<h2>signature</h2><pre>{signature.hex()}</pre>"
        f"<h2>as it was signed</h2><pre>{escape(text)}</pre></body></html>\n"
    )


def _keys(seen: Seen) -> dict[str, Any]:
    return {"compared": seen.keys, "differed": seen.differed}


def _named(counts: Mapping[str, float], *names: str) -> dict[str, Any]:
    return {name: counts.get(name, 0) for name in names}


def _ms(counts: Mapping[str, float], side: str, share: float) -> float | None:
    seconds = quantile(counts, side, share)
    return None if seconds is None else round(seconds * 1000, 1)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _sealed(document: Mapping[str, Any], signature: bytes) -> str:
    return _canonical({"document": document, "signature": signature.hex()})


def _parts(text: str) -> tuple[dict[str, Any], bytes]:
    try:
        envelope = json.loads(text)
        document, signature = envelope["document"], bytes.fromhex(envelope["signature"])
        if not isinstance(document, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadReport("expected an evidence report: JSON with `document` and `signature`") from None
    return document, signature


def _shown(value: Any) -> str:
    """Any JSON value as HTML: a mapping is a table of two columns, and a list of mappings one with their names on top."""
    if isinstance(value, dict):
        return _table(f"<th>{escape(name)}</th><td>{_shown(value[name])}</td>" for name in _in_order(value)) if value else "none"
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        names = _in_order({name for item in value for name in item})
        rows = ("".join(f"<td>{_shown(item.get(name))}</td>" for name in names) for item in value)
        return _table(["".join(f"<th>{escape(name)}</th>" for name in names), *rows])
    if isinstance(value, list):
        return f"<ul>{''.join(f'<li>{_shown(item)}</li>' for item in value)}</ul>" if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape("" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value))


def _in_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def _table(rows: Iterable[str]) -> str:
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
