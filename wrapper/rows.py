"""Reply -> Rows: raw records become canonical values, by a marshmallow schema built once per source.

A row that fails is kept with its reasons, never dropped in silence and never half-accepted. Requests go through the same fields,
and answers are dumped by them, so that a value means the same on the way in and out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Any

import marshmallow as ma
import re2

from adapters.base import Record, Reply
from wrapper import convert, functions
from wrapper.operation import Field, ReadRule

NO_RULE = ReadRule("")
_WIDE = Context(prec=2 * convert.DIGITS + 20)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that could not be read: its place in the reply and why, without values."""

    index: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Canonical rows. A `good` row has every field of the contract; None is a value that the back end does not have."""

    good: tuple[Mapping[str, Any], ...]
    bad: tuple[BadRow, ...]
    backend: str
    as_of: str | None = None


class Value(ma.fields.Field[Any]):
    """One canonical value: sentinel -> None, code table, conversion, then the contract's own limits."""

    def __init__(self, field: Field, rule: ReadRule, packages: Sequence[str], strict: bool) -> None:
        given: dict[str, Any] = {"load_default": None, "allow_none": True} if field.optional else {"required": True, "allow_none": False}
        super().__init__(data_key=field.name, **given)
        self.spec, self.rule, self._strict = field, rule, strict
        self._convert = _converter(field, rule, packages)
        self._nothing = frozenset(rule.none_when)
        self._nothings = frozenset(convert.plain(text) for text in rule.none_when if convert.is_plain(text))
        self._pattern = re2.compile(field.pattern) if field.pattern else None
        self._nested = schema(field.of, rule.of, packages, strict=strict) if field.of else None

    def deserialize(self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        if value is not ma.missing and self._is_nothing(value):
            value = None
        return super().deserialize(value, attr, data, **kwargs)

    def _is_nothing(self, value: Any) -> bool:
        if isinstance(value, str):
            bare = value.strip(" ")
            return bare in self._nothing or (not bare and self.spec.optional)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return value in self._nothings
        return str(value) in self._nothing

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if self._nested is not None:
            return self._load_nested(value)
        try:
            if self.rule.values is not None:
                value = _look_up(value, self.rule.values)
            return _limited(self._convert(value), self.spec, self._pattern)
        except (ValueError, ArithmeticError) as error:
            raise ma.ValidationError(str(error)) from None

    def _load_nested(self, value: Any) -> Any:
        assert self._nested is not None
        if self.spec.type == "object":
            if not isinstance(value, Mapping):
                raise ma.ValidationError(f"expected an object, met {convert.shape(value)}")
            return self._nested.load(self._picked(value))
        if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping) for v in value):
            raise ma.ValidationError(f"expected a list of objects, met {convert.shape(value)}")
        if self.spec.most is not None and len(value) > self.spec.most:
            raise ma.ValidationError(f"expected at most {self.spec.most} items, met {len(value)}")
        if self._strict and not value and not self.spec.optional:
            raise ma.ValidationError("expected at least one item, met none")
        return self._nested.load([self._picked(v) for v in value], many=True)

    def _picked(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """A back end's record may have more than the contract; a request that has more is refused by the schema."""
        return value if self._strict else flat(value, self.spec.of, self.rule.of)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        match value:
            case Decimal():
                return format(value, "f")
            case datetime() | date():
                return value.isoformat()
            case Mapping() if self._nested is not None:
                return self._nested.dump(value)
            case list() | tuple() if self._nested is not None:
                return self._nested.dump(value, many=True)
        return value


def schema(fields: Sequence[Field], rules: Mapping[str, ReadRule], packages: Sequence[str] = (), *, strict: bool = False) -> ma.Schema:
    """A marshmallow schema whose load() takes flat() records and whose dump() gives JSON-ready rows. Unknown keys are errors.

    `strict` is for requests: members of nested objects that the contract does not have are errors too, and lists are not empty.
    """
    made = {f.name: Value(f, rules.get(f.name, NO_RULE), packages, strict) for f in fields}
    return ma.Schema.from_dict(dict(made), name="Canonical")(unknown=ma.RAISE)


def flat(record: Record, fields: Sequence[Field], rules: Mapping[str, ReadRule]) -> dict[str, Any]:
    """The record with the contract's names: each field picked by its raw path; what is absent becomes None."""
    return {f.name: pick(record, rules[f.name].raw if f.name in rules else f.name) for f in fields}


def pick(record: Record, path: str) -> Any:
    """`Result/Limit` in a nested record; None where a step is absent."""
    if path in record:
        return record[path]
    value: Any = record
    for step in path.split("/"):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


class Reader:
    """Reads one source's replies. Made once per source; thread-safe."""

    def __init__(self, fields: Sequence[Field], rules: Mapping[str, ReadRule], packages: Sequence[str] = ()) -> None:
        self._fields, self._rules = tuple(fields), rules
        self._schema = schema(self._fields, rules, packages)

    def read(self, reply: Reply) -> Rows:
        """Every record is in the result: good, or bad with its reasons."""
        reasons: dict[Any, Any]
        records = [flat(record, self._fields, self._rules) for record in reply.records]
        try:
            good, reasons = self._schema.load(records, many=True), {}
        except ma.ValidationError as error:
            reasons = dict(error.messages_dict)
            good = [row for n, row in enumerate(error.valid_data or []) if n not in reasons]
        bad = tuple(BadRow(int(n), tuple(sentences(why))) for n, why in sorted(reasons.items()))
        return Rows(tuple(good), bad, reply.backend, reply.as_of)

    def dump(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """JSON-ready: decimals as text with their scale, dates as ISO."""
        return self._schema.dump(rows, many=True)  # type: ignore[no-any-return]


def sentences(messages: Any, path: str = "") -> list[str]:
    """marshmallow's nested messages as `field.inner: what is wrong` lines."""
    if isinstance(messages, Mapping):
        return [line for key, inner in messages.items() for line in sentences(inner, f"{path}.{key}" if path else str(key))]
    return [f"{path}: {'missing' if m.startswith(('Missing data', 'Field may not')) else m}" for m in messages]


def _converter(field: Field, rule: ReadRule, packages: Sequence[str]) -> convert.Converter:
    if field.of:
        return lambda value: value
    if rule.convert is None:
        return convert.BY_TYPE[field.type]
    if rule.convert.startswith("py:"):
        return functions.find(rule.convert, packages)
    if rule.convert == "yymmdd":
        if rule.window is None:
            raise ValueError(f"{field.name}: yymmdd needs a window")
        return convert.yymmdd(rule.window)
    return convert.NAMED[rule.convert]


def _look_up(value: Any, values: Mapping[str, str]) -> str:
    key = value.strip(" ") if isinstance(value, str) else str(value)
    if key not in values:
        raise ValueError(f"expected one of the codes {', '.join(values)}, met {convert.shape(value)}")
    return values[key]


def _limited(value: Any, field: Field, pattern: Any) -> Any:
    """The contract's limits. Decimals leave with exactly their scale; digits that do not fit are refused, never rounded."""
    _check_type(value, field)
    if isinstance(value, Decimal) and field.scale is not None:
        value = _scaled(value, field.scale)
    if field.one_of and value not in field.one_of:
        raise ValueError(f"expected one of {', '.join(field.one_of)}, met {convert.shape(value)}")
    if isinstance(value, str):
        _check_text(value, field, pattern)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        if field.minimum is not None and value < field.minimum:
            raise ValueError(f"expected at least {field.minimum}")
        if field.maximum is not None and value > field.maximum:
            raise ValueError(f"expected at most {field.maximum}")
    return value


_TYPES: Mapping[str, type] = {"string": str, "integer": int, "decimal": Decimal, "boolean": bool, "date": date, "datetime": datetime}


def _check_type(value: Any, field: Field) -> None:
    """A conversion must end in the contract's type: a py: function or a code table could do otherwise."""
    wanted = _TYPES[field.type]
    ok = (
        isinstance(value, wanted)
        and (wanted is bool or not isinstance(value, bool))
        and (wanted is not date or not isinstance(value, datetime))
    )
    if not ok:
        raise ValueError(f"expected {field.type}, the conversion gave {type(value).__name__}")


def _scaled(value: Decimal, scale: int) -> Decimal:
    if len(value.as_tuple().digits) > convert.DIGITS or abs(value.adjusted()) > convert.DIGITS:
        raise ValueError(f"expected at most {convert.DIGITS} digits")
    exact = value.quantize(Decimal(1).scaleb(-scale), context=_WIDE)
    if exact != value:
        raise ValueError(f"expected at most {scale} digits after the point, met {convert.shape(format(value, 'f'))}")
    return exact if exact else exact.copy_abs()  # no minus zero


def _check_text(value: str, field: Field, pattern: Any) -> None:
    if not value and not field.optional and field.min_length is None:
        raise ValueError("missing")
    if field.min_length is not None and len(value) < field.min_length:
        raise ValueError(f"expected at least {field.min_length} characters, met {len(value)}")
    if field.max_length is not None and len(value) > field.max_length:
        raise ValueError(f"expected at most {field.max_length} characters, met {len(value)}")
    if pattern is not None and not pattern.fullmatch(value):
        raise ValueError(f"expected text that matches {field.pattern}, met {convert.shape(value)}")
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("control characters are not accepted")
