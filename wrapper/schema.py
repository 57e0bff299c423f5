"""The marshmallow schema of canonical values: what a contract's fields and a side's reading rules mean, in one place.

Requests go through the same fields as back ends' records, and answers are dumped by them, so that a value means the same on the way in
and out. This is the reference, and what says why a value is refused; `wrapper/compiled.py` is its fast form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Any

import marshmallow as ma
import re2

from adapters import template
from adapters.base import Record
from wrapper import convert, functions
from wrapper.operation import Field, ReadRule

NO_RULE = ReadRule("")
_WIDE = Context(prec=2 * convert.DIGITS + 20)
control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
"""A control character in a text, if there is one."""
Matcher = Callable[[str], Any]
_COUNTED = re.compile(r"(?:(?:[A-Za-z0-9]|\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9])+\])(?:\{[0-9]{1,3}\})?)+")
"""Patterns that need no search: letters, digits and classes of them, each a stated number of times."""


class Value(ma.fields.Field[Any]):
    """One canonical value: sentinel -> None, code table, conversion, then the contract's own limits."""

    def __init__(self, field: Field, rule: ReadRule, packages: Sequence[str], strict: bool) -> None:
        given: dict[str, Any] = {"load_default": None, "allow_none": True} if field.optional else {"required": True, "allow_none": False}
        super().__init__(data_key=field.name, **given)
        self.spec, self.rule, self._strict = field, rule, strict
        self.raw = field.name if rule is NO_RULE else rule.raw
        self.convert = _converter(field, rule, packages)
        self._nothing = frozenset(rule.none_when)
        self._nothings = frozenset(convert.plain(text) for text in rule.none_when if convert.is_plain(text))
        self.matches = _matcher(field.pattern) if field.pattern else None
        self.nested = schema(field.of, rule.of, packages, strict=strict) if field.of else None

    def deserialize(self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        if value is not ma.missing and self.is_nothing(value):
            value = None
        return super().deserialize(value, attr, data, **kwargs)

    def is_nothing(self, value: Any) -> bool:
        """Whether this is the back end's way to say that it has no value."""
        if isinstance(value, str):
            bare = value.strip(" ")
            return bare in self._nothing or (not bare and self.spec.optional)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return value in self._nothings
        return str(value) in self._nothing

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if self.nested is not None:
            return self._load_nested(value)
        try:
            if self.rule.values is not None:
                value = _look_up(value, self.rule.values)
            return self.limited(self.convert(value))
        except (ValueError, ArithmeticError) as error:
            raise ma.ValidationError(str(error)) from None

    def limited(self, value: Any) -> Any:
        """A converted value within the contract's limits. Raises ValueError."""
        return _limited(value, self.spec, self.matches)

    def _load_nested(self, value: Any) -> Any:
        assert self.nested is not None
        if self.spec.type == "object":
            if not isinstance(value, Mapping):
                raise ma.ValidationError(f"expected an object, met {convert.shape(value)}")
            return self.nested.load(self._picked(value))
        if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping) for v in value):
            raise ma.ValidationError(f"expected a list of objects, met {convert.shape(value)}")
        if self.spec.most is not None and len(value) > self.spec.most:
            raise ma.ValidationError(f"expected at most {self.spec.most} items, met {len(value)}")
        if self._strict and not value and not self.spec.optional:
            raise ma.ValidationError("expected at least one item, met none")
        return self.nested.load([self._picked(v) for v in value], many=True)

    def _picked(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """A back end's record may have more than the contract; a request that has more is refused by the schema."""
        return value if self._strict else flat(value, self.spec.of, self.rule.of)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        match value:
            case Decimal():
                return format(value, "f")
            case datetime() | date():
                return value.isoformat()
            case Mapping() if self.nested is not None:
                return self.nested.dump(value)
            case list() | tuple() if self.nested is not None:
                return self.nested.dump(value, many=True)
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
    return record[path] if path in record else template.pick(record, path)


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


def _matcher(pattern: str) -> Matcher:
    """Whether the whole text matches. RE2 can't be made to run long; Python's own, 3 us quicker, has what it could not run long on."""
    made: Matcher = (re if _COUNTED.fullmatch(pattern) else re2).compile(pattern).fullmatch
    return made


def _look_up(value: Any, values: Mapping[str, str]) -> str:
    key = value.strip(" ") if isinstance(value, str) else str(value)
    if key not in values:
        raise ValueError(f"expected one of the codes {', '.join(values)}, met {convert.shape(value)}")
    return values[key]


def _limited(value: Any, field: Field, matches: Matcher | None) -> Any:
    """The contract's limits. Decimals leave with exactly their scale; digits that do not fit are refused, never rounded."""
    _check_type(value, field)
    if isinstance(value, Decimal) and field.scale is not None:
        value = scaled(value, field.scale)
    if field.one_of and value not in field.one_of:
        raise ValueError(f"expected one of {', '.join(field.one_of)}, met {convert.shape(value)}")
    if isinstance(value, str):
        _check_text(value, field, matches)
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


def scaled(value: Decimal, scale: int) -> Decimal:
    """With exactly `scale` digits after the point; never rounded. Raises ValueError."""
    if len(value.as_tuple().digits) > convert.DIGITS or abs(value.adjusted()) > convert.DIGITS:
        raise ValueError(f"expected at most {convert.DIGITS} digits")
    exact = value.quantize(Decimal(1).scaleb(-scale), context=_WIDE)
    if exact != value:
        raise ValueError(f"expected at most {scale} digits after the point, met {convert.shape(format(value, 'f'))}")
    return exact if exact else exact.copy_abs()  # no minus zero


def _check_text(value: str, field: Field, matches: Matcher | None) -> None:
    if not value and not field.optional and field.min_length is None:
        raise ValueError("missing")
    if field.min_length is not None and len(value) < field.min_length:
        raise ValueError(f"expected at least {field.min_length} characters, met {len(value)}")
    if field.max_length is not None and len(value) > field.max_length:
        raise ValueError(f"expected at most {field.max_length} characters, met {len(value)}")
    if matches is not None and not matches(value):
        raise ValueError(f"expected text that matches {field.pattern}, met {convert.shape(value)}")
    if control(value):
        raise ValueError("control characters are not accepted")
