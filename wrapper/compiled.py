"""The schema's fast form: one function that loads a good record and one that dumps a good row, generated once at start.

Generated functions are right for what is good and know when they can't tell: then they raise, whatever it is, and marshmallow, whose
schema they are made from, takes that record and says what is wrong with it. The text that is executed is put together from the constants
of this file alone; names, codes, limits and converters are bound to it as values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from textwrap import indent
from typing import Any

import marshmallow as ma

from wrapper import convert
from wrapper.schema import Value, control, pick, scaled


class Doubt(Exception):
    """This is not known to be good."""


Load = Callable[[Any], dict[str, Any]]
Dump = Callable[[Any], dict[str, Any]]

_CLASSES = {"string": "str", "integer": "int", "decimal": "Decimal", "boolean": "bool", "date": "date", "datetime": "datetime"}
_KNOWN: Mapping[str, Any] = {
    "Decimal": Decimal, "Doubt": Doubt, "date": date, "datetime": datetime, "control": control, "pick": pick, "scaled": scaled,
}  # fmt: skip


def loader(schema: ma.Schema, *, strict: bool = False) -> Load:
    """A raw record -> its row; any exception means: ask marshmallow. `strict` as in schema(): no other names than the contract's."""
    fields = _fields(schema)
    names = dict(_KNOWN)
    lines = ["if record.__class__ is not dict:", "    raise Doubt"]
    for n, value in enumerate(fields):
        lines += [f"# {n}: {value.spec.type}", *_loaded(n, value, names, strict)]
    if strict:
        optional = [f"(name_{n} in record)" for n, value in enumerate(fields) if value.spec.optional]
        lines += [f"if len(record) != {' + '.join([str(len(fields) - len(optional)), *optional])}:", "    raise Doubt"]
    lines += ["return {" + ", ".join(f"name_{n}: v{n}" for n in range(len(fields))) + "}"]
    made: Load = _made("load", "record", lines, names)
    return made


def dumper(schema: ma.Schema) -> Dump:
    """A row -> what JSON can carry of it; any exception means: ask marshmallow."""
    names = dict(_KNOWN)
    dumped = [f"name_{n}: {_dumped(n, value, names)}" for n, value in enumerate(_fields(schema))]
    made: Dump = _made("dump", "row", ["return {", *(f"    {line}," for line in dumped), "}"], names)
    return made


def _fields(schema: ma.Schema) -> list[Value]:
    return [field for field in schema.fields.values() if isinstance(field, Value)]


def _made(name: str, argument: str, lines: Sequence[str], names: dict[str, Any]) -> Any:
    text = f"def {name}({argument}):\n{indent(chr(10).join(lines), '    ')}\n"
    exec(compile(text, f"<figway {name}>", "exec"), names)  # noqa: S102 - see the module's docstring
    names[name].source = text
    return names[name]


def _loaded(n: int, value: Value, names: dict[str, Any], strict: bool) -> Iterator[str]:
    """One field, step by step as Value.deserialize takes it."""
    spec = value.spec
    names |= {f"name_{n}": spec.name, f"raw_{n}": spec.name if strict else value.raw}
    walks = not strict and "/" in value.raw
    yield f"v{n} = pick(record, raw_{n})" if walks else f"v{n} = record.get(raw_{n})"
    if value.rule.none_when:
        names |= {f"nothing_{n}": value.is_nothing, f"blank_{n}": frozenset((*value.rule.none_when, *([""] if spec.optional else [])))}
        yield f"if v{n}.strip(' ') in blank_{n} if v{n}.__class__ is str else nothing_{n}(v{n}):"
        yield f"    v{n} = None"
    elif spec.optional:
        yield f"if v{n}.__class__ is str and not v{n}.strip(' '):"
        yield f"    v{n} = None"
    yield f"if v{n} is not None:" if spec.optional else f"if v{n} is None:\n    raise Doubt"
    for line in _converted(n, value, names, strict):
        yield indent(line, "    ") if spec.optional else line


def _converted(n: int, value: Value, names: dict[str, Any], strict: bool) -> Iterator[str]:
    if value.nested is not None:
        names[f"inner_{n}"] = loader(value.nested, strict=strict)
        yield from _inner(n, value, names, strict)
        return
    if value.rule.values is not None:
        names[f"codes_{n}"] = _codes(value)
        yield f"v{n} = codes_{n}.get(v{n}.strip(' ') if v{n}.__class__ is str else str(v{n}))"
        yield f"if v{n} is None:\n    raise Doubt"
        return
    plain_text = value.convert is convert.text
    if not plain_text:
        names[f"convert_{n}"] = value.convert
        yield f"v{n} = convert_{n}(v{n})"
    yield f"if v{n}.__class__ is not {_CLASSES[value.spec.type]}:\n    raise Doubt"
    if plain_text:
        yield f"v{n} = v{n}.rstrip(' ')"
    yield from _limits(n, value, names)


def _inner(n: int, value: Value, names: dict[str, Any], strict: bool) -> Iterator[str]:
    if value.spec.type == "object":
        yield f"v{n} = inner_{n}(v{n})"
        return
    yield f"if v{n}.__class__ is not list and v{n}.__class__ is not tuple:\n    raise Doubt"
    if value.spec.most is not None:
        names[f"most_{n}"] = value.spec.most
        yield f"if len(v{n}) > most_{n}:\n    raise Doubt"
    if strict and not value.spec.optional:
        yield f"if not v{n}:\n    raise Doubt"
    yield f"v{n} = [inner_{n}(one) for one in v{n}]"


def _codes(value: Value) -> dict[str, Any]:
    """What each code ends as; one whose value would be refused is left for marshmallow to refuse."""
    made = {}
    for code, meant in (value.rule.values or {}).items():
        try:
            made[code] = value.limited(value.convert(meant))
        except (ValueError, ArithmeticError):
            continue
    return made


def _limits(n: int, value: Value, names: dict[str, Any]) -> Iterator[str]:
    """As schema.limited has them, for a value of the right class."""
    spec = value.spec
    refused = []
    if spec.type == "decimal" and spec.scale is not None:
        yield from _scaling(n, spec.scale, names)
    if spec.one_of:
        names[f"one_of_{n}"] = spec.one_of
        refused.append(f"v{n} not in one_of_{n}")
    if spec.type == "string":
        refused += _text_limits(n, value, names)
    if spec.type in ("integer", "decimal"):
        for bound, sign, end in ((spec.minimum, "<", "least"), (spec.maximum, ">", "greatest")):
            if bound is not None:
                names[f"{end}_{n}"] = bound
                refused.append(f"v{n} {sign} {end}_{n}")
    if refused:
        yield f"if {' or '.join(f'({one})' for one in refused)}:\n    raise Doubt"


def _text_limits(n: int, value: Value, names: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a text, as expressions."""
    spec = value.spec
    if not spec.optional and spec.min_length is None:
        yield f"not v{n}"
    for limit, sign, end in ((spec.min_length, "<", "shortest"), (spec.max_length, ">", "longest")):
        if limit is not None:
            names[f"{end}_{n}"] = limit
            yield f"len(v{n}) {sign} {end}_{n}"
    if value.matches is not None:
        names[f"matches_{n}"] = value.matches
        yield f"not matches_{n}(v{n})"
    yield f"not v{n}.isprintable() and control(v{n})"


def _scaling(n: int, scale: int, names: dict[str, Any]) -> Iterator[str]:
    """An amount that has its scale already, and no more digits than it may have, needs no arithmetic; a zero loses its sign."""
    names |= {f"scale_{n}": scale, f"unit_{n}": Decimal((0, (1,), -scale)), f"zero_{n}": Decimal((0, (0,), -scale))}
    if scale > convert.DIGITS:
        yield f"v{n} = scaled(v{n}, scale_{n})"
        return
    names |= {f"over_{n}": Decimal((0, (1,), convert.DIGITS - scale)), f"under_{n}": Decimal((1, (1,), convert.DIGITS - scale))}
    yield f"if v{n}.same_quantum(unit_{n}) and under_{n} < v{n} < over_{n}:\n    v{n} = v{n} or zero_{n}"
    yield f"else:\n    v{n} = scaled(v{n}, scale_{n})"


def _dumped(n: int, value: Value, names: dict[str, Any]) -> str:
    """An expression for one field. What a row should not hold there is marshmallow's business."""
    names |= {f"name_{n}": value.spec.name, f"other_{n}": lambda v: value._serialize(v, None, None)}
    if value.nested is not None:
        names[f"inner_{n}"] = dumper(value.nested)
    kind, told = {
        "decimal": ("Decimal", 'f"{v:f}"'),
        "date": ("date", "v.isoformat()"),
        "datetime": ("datetime", "v.isoformat()"),
        "object": ("dict", f"inner_{n}(v)"),
        "list": ("list", f"[inner_{n}(one) for one in v]"),
    }.get(value.spec.type, (_CLASSES.get(value.spec.type, "str"), "v"))
    return f"{told} if (v := row[name_{n}]).__class__ is {kind} else None if v is None else other_{n}(v)"
