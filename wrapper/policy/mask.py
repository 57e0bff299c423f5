"""What a caller may not see whole: a field with a `mask` leaves Figway masked, unless the caller has one of the scopes of its `shown_to`.

Masks are compiled once for each set of scopes that makes a difference. Rows come JSON-ready; a masked value is a text, one that is missing
stays null, and a dropped one is not there at all, so that nobody takes it for missing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wrapper.operation import Field
from wrapper.policy.keys import Caller

TEXTS: Mapping[str, Callable[[str], str]] = {
    "last4": lambda text: "*" * (len(text) - 4) + text[-4:] if len(text) > 4 else "*" * len(text),
    "initials": lambda text: " ".join(word[0] + "." for word in text.split()),
    "hidden": lambda _text: "***",
}
"""Those that need nothing but the value."""

Masked = Callable[[Any], Any]
"""A row, as a caller may see it; or one value."""
Tokenise = Callable[[str, str, str], str]
"""Class, value, tenant -> token."""
_Keyed = Callable[[Field, str], str]
_NONE: _Keyed = lambda _field, _text: TEXTS["hidden"]("")  # noqa: E731


class Masks:
    """Of one endpoint's answers. `secret` gives the key of `hmac` masks when one is needed; `tokenise` is Tokens.tokenise. Thread-safe."""

    def __init__(self, fields: Sequence[Field], secret: Callable[[], bytes], tokenise: Tokenise) -> None:
        self._fields, self._secret, self._tokenise = fields, secret, tokenise
        hidden = list(masked(fields))
        self._scopes = frozenset(scope for field in hidden for scope in field.shown_to)
        self._keyed = any(field.mask in ("hmac", "token") for field in hidden)
        self._made: dict[tuple[frozenset[str], str], Masked | None] = {}

    def shown(self, data: Any, caller: Caller) -> Any:
        """An answer's data, one row or several or none, as this caller may see them. Raises NotReady as of() does."""
        if data is None or (mask := self.of(caller)) is None:
            return data
        return [mask(row) for row in data] if isinstance(data, list) else mask(data)

    def of(self, caller: Caller) -> Masked | None:
        """What each row passes on its way to this caller; None when they see all. Raises NotReady while a key is needed and not there."""
        wanted = (caller.scopes & self._scopes, caller.tenant if self._keyed else "")
        if wanted not in self._made:
            self._made[wanted] = _row(self._fields, wanted[0], self._keys(caller.tenant) if self._keyed else _NONE)
        return self._made[wanted]

    def _keys(self, tenant: str) -> _Keyed:
        """Each tenant's own: what one sees can't be held against what another sees."""
        key = hmac.digest(self._secret(), tenant.encode(), "sha256")

        def keyed(field: Field, text: str) -> str:
            if field.mask == "hmac":
                return hmac.digest(key, text.encode(), "sha256").hex()[:32]
            return self._tokenise(field.pii or "other", text, tenant)

        return keyed


def masked(fields: Sequence[Field]) -> Iterator[Field]:
    """Those that have a mask, inside of others too."""
    for field in fields:
        if field.mask:
            yield field
        yield from masked(field.of)


def left(fields: Sequence[Field], caller: Caller) -> tuple[list[str], list[str]]:
    """Names of the fields that this caller gets clear, and of those that leave masked; of nested ones as `outer.inner`. What is dropped
    does not leave."""
    clear, hidden = list[str](), list[str]()
    for f in fields:
        if f.mask and caller.scopes.isdisjoint(f.shown_to):
            hidden += [] if f.mask == "drop" else [f.name]
        elif f.of:
            inner = left(f.of, caller)
            clear += [f"{f.name}.{name}" for name in inner[0]]
            hidden += [f"{f.name}.{name}" for name in inner[1]]
        else:
            clear.append(f.name)
    return clear, hidden


def _row(fields: Sequence[Field], scopes: frozenset[str], keyed: _Keyed) -> Masked | None:
    hidden = [field for field in fields if field.mask and scopes.isdisjoint(field.shown_to)]
    masks = {field.name: _value(field, keyed) for field in hidden}
    masks |= {field.name: inner for field in fields if field.name not in masks and (inner := _inner(field, scopes, keyed)) is not None}
    if not masks:
        return None
    dropped = {field.name for field in hidden if field.mask == "drop"}
    steps = [(field.name, masks.get(field.name)) for field in fields if field.name not in dropped]

    def row(given: Any) -> dict[str, Any]:
        made = {}
        for name, mask in steps:
            value = given.get(name)
            made[name] = value if mask is None or value is None else mask(value)
        return made

    return row


def _inner(field: Field, scopes: frozenset[str], keyed: _Keyed) -> Masked | None:
    row = _row(field.of, scopes, keyed)
    if row is None or field.type != "list":
        return row
    return lambda rows: [row(one) for one in rows]


def _value(field: Field, keyed: _Keyed) -> Masked:
    if field.mask in ("hmac", "token"):
        return lambda value: keyed(field, str(value))
    text = TEXTS.get(field.mask or "", TEXTS["hidden"])
    return lambda value: text(str(value))
