"""Holds a file's parts against the schema, and says in plain words where they differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from adapters.blocks import instead
from wrapper.catalogue.found import Path, spoken
from wrapper.catalogue.schema import definitions, json_schema

Told = Iterator[tuple[Path, str]]
_Explain = Callable[[Any, Path, bool], Told]
_KINDS = {
    "object": "a mapping", "array": "a list", "string": "a text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "null": "nothing",
}  # fmt: skip


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    """As JSON Schema's, but `$` is the end of the text and not also a line break before it."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError("")


_Validator = validators.extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]


@cache
def _validator(name: str) -> Any:
    kind, own, _ = name.partition(".")
    return _Validator({"$ref": f"#/$defs/{name}", "$defs": definitions([kind] if own else [])})


def faults(name: str, value: Any, at: Path = (), secret: bool = False) -> Told:
    """What in `value` is not as the definition `name` says: paths (below `at`) and messages. `secret` shows no values."""
    seen = set()
    for error in _validator(name).iter_errors(value):
        for path, message in _explain(error, at, secret):
            if (path, message) not in seen:
                seen.add((path, message))
                yield path, message


def met(value: Any, secret: bool = False) -> str:
    """A value as a message shows it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case Mapping():
            return "a mapping"
        case list():
            return "a list"
    if secret:
        return "something else (not shown here)"
    shown = str(value) if len(str(value)) <= 60 else f"{str(value)[:57]}..."
    return f"'{shown}'" if isinstance(value, str) else f"the number {shown}"


def _explain(error: Any, at: Path, secret: bool) -> Told:
    path = (*at, *error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        path = (*path, error.instance)
    explain = _WORDS.get(str(error.validator))
    if explain is not None:
        yield from explain(error, path, secret)
    else:
        rule = f"{error.validator}: {error.validator_value}"
        yield path, f"{spoken(path)} does not keep the rule {rule if len(rule) < 100 else error.validator}"


def _unknown(error: Any, path: Path, _: bool) -> Told:
    allowed = error.schema.get("properties", {})
    for key in error.instance:
        if key not in allowed:
            deeper = [name for name, inner in allowed.items() if key in _keys(inner)]
            hint = f"; it belongs in {' or '.join(deeper)}" if deeper else instead(key, allowed)
            yield (*path, key), f"unknown key '{key}' in {spoken(path)}{hint}"


def _keys(schema: Any) -> Mapping[str, Any]:
    """The keys that a part of a schema may have; those of a block are the keys of all kinds."""
    name = schema.get("$ref", "").removeprefix("#/$defs/") if isinstance(schema, Mapping) else ""
    told = _printed()["$defs"][name] if name else schema
    return told.get("properties", {}) if isinstance(told, Mapping) else {}


@cache
def _printed() -> Mapping[str, Any]:
    return json_schema()


def _required(error: Any, path: Path, _: bool) -> Told:
    for key in error.validator_value:
        if key not in error.instance:
            yield path, f"{spoken(path)} lacks the key '{key}'"


def _type(error: Any, path: Path, secret: bool) -> Told:
    wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    value, hint, pattern = error.instance, "", error.schema.get("pattern")
    quoted = None if secret or "string" not in wanted else _quoted(value)
    if "boolean" in wanted and str(value).lower() in ("yes", "no", "on", "off", "y", "n", "true", "false"):
        hint = "; write true or false"
    elif quoted is not None and (pattern is None or re.search(pattern, quoted)):
        hint = f'; quote it: "{quoted}"'
    if pattern is not None:
        yield path, f"{spoken(path)}: {_expected(error.schema)}, met {met(value, secret)}{hint}"
    else:
        yield path, f"{spoken(path)} must be {' or '.join(_KINDS[kind] for kind in wanted)}, met {met(value, secret)}{hint}"


def _quoted(value: Any) -> str | None:
    """The text that was meant where its quotes were left out; `{customer_id}` alone is a mapping of one key to nothing."""
    match value:
        case bool():
            return str(value).lower()
        case Mapping() if len(value) == 1 and None in value.values():
            return f"{{{next(iter(value))}}}"
        case list() if all(isinstance(item, str | int) for item in value):
            return f"[{', '.join(map(str, value))}]"
        case None | Mapping() | list():
            return None
    return str(value)


def _enum(error: Any, path: Path, _: bool) -> Told:
    yield path, f"{spoken(path)} is {met(error.instance)}{instead(error.instance, [str(v) for v in error.validator_value])}"


def _const(error: Any, path: Path, secret: bool) -> Told:
    yield path, f"{spoken(path)} must be {met(error.validator_value)}, met {met(error.instance, secret)}"


def _text(error: Any, path: Path, secret: bool) -> Told:
    yield path, f"{spoken(path)}: {_expected(error.schema)}, met {met(error.instance, secret)}"


def _expected(schema: Mapping[str, Any]) -> str:
    """What a text with a pattern is, in words. A kind's own durations have no words: they are told by what they take."""
    pattern = schema["pattern"]
    duration = all(re.search(pattern, text) for text in ("8s", "10m")) and not re.search(pattern, "x")
    known = "expected a duration like 8s or 10m" if duration else f"expected text that matches {pattern}"
    return str(schema.get("patternErrorMessage") or known)


def _limit(sentence: str) -> _Explain:
    def told(error: Any, path: Path, secret: bool) -> Told:
        yield path, f"{spoken(path)} must {sentence.format(error.validator_value)}, met {met(error.instance, secret)}"

    return told


def _length(sentence: str) -> _Explain:
    def told(error: Any, path: Path, _: bool) -> Told:
        names = error.schema.get("properties", {}) if isinstance(error.instance, Mapping) else {}
        wanted = f"one of {', '.join(names)}" if names else sentence.format(error.validator_value)
        yield path, f"{spoken(path)} must have {wanted}, met {len(error.instance)}"

    return told


_WORDS: Mapping[str, _Explain] = {
    "additionalProperties": _unknown,
    "required": _required,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "pattern": _text,
    "minimum": _limit("be at least {}"),
    "maximum": _limit("be at most {}"),
    "exclusiveMinimum": _limit("be more than {}"),
    "exclusiveMaximum": _limit("be less than {}"),
    "minLength": _length("at least {} character(s)"),
    "maxLength": _length("at most {} characters"),
    "minItems": _length("at least {} item(s)"),
    "maxItems": _length("at most {} item(s)"),
    "minProperties": _length("at least {} key(s)"),
    "maxProperties": _length("at most {} key(s)"),
    "uniqueItems": lambda error, path, _: iter([(path, f"{spoken(path)} has an item twice")]),
}
