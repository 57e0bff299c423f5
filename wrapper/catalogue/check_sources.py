"""The blocks that ask back ends: do they ask for what the request gives, and give what the response promises?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from adapters import template
from adapters.blocks import instead
from wrapper import convert
from wrapper.catalogue.build import Endpoint, asked
from wrapper.catalogue.estate import Estate, Told, response, walk
from wrapper.catalogue.found import Path, texts
from wrapper.catalogue.schema import CONVERTERS
from wrapper.operation import Ask, Field, ReadRule

MODERN = ("http",)
_PY = re.compile(r"py:[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_GIVES = {
    "text": "string",
    "yn": "boolean",
    "iso_local": "datetime",
    **dict.fromkeys(("plain", "signed_trailing", "signed_leading"), "decimal"),
}
"""What a conversion makes; those not named here make a date."""
_SQL_TYPES = {"date": "DATE", "datetime": "TIMESTAMP", "integer": "BIGINT", "decimal": "DECIMAL(31, 2)", "boolean": "BOOLEAN"}


def sides(endpoint: Endpoint, estate: Estate) -> Told:
    """An endpoint asks a legacy system, or joins others; what replaces legacy is a service."""
    raw = endpoint.raw
    if ("legacy" in raw) == ("parts" in raw):
        yield ("endpoint",), "an endpoint has either a legacy block or parts to join"
    if "modern" in raw and "legacy" not in raw:
        yield ("modern",), "modern replaces a legacy block, and there is none"
    for side, block, _ in endpoint.blocks():
        system = estate.systems.get(block["system"])
        if system is None:
            yield (side, "system"), f"there is no system '{block['system']}'{instead(block['system'], estate.systems)}"
        elif side == "modern" and system.kind not in MODERN:
            yield (side, "system"), f"what replaces legacy is an {' or '.join(MODERN)} system; '{system.name}' is {system.kind}"


def params(endpoint: Endpoint, _: Estate) -> Told:
    """Every parameter reaches every block, and a block uses no other: one that is ignored answers another question. What a function
    makes of them nobody knows."""
    for side, block, source in endpoint.blocks():
        if source is None or source.transform_params:
            continue
        for name, param in endpoint.params.items():
            if name not in source.target.uses:
                hint = _unquoted(name, block)
                yield ("request", name), f"the {param.where} parameter '{name}' is not used by the {side} block{hint}"
        for name in sorted(source.target.uses - endpoint.params.keys()):
            written = (path for path, text in texts(block, (side,)) if re.search(rf"[{{:]{re.escape(name)}\b", text))
            yield next(written, (side,)), f"the {side} block uses '{name}', which is not a parameter{instead(name, endpoint.params)}"


def _unquoted(name: str, block: Mapping[str, Any]) -> str:
    """How a parameter is written where the block seems to mean it."""
    if re.search(rf"[{{:]{name}\b", block.get("sql", "")):
        return f": in SQL a value is written :{name}, without quotes and braces"
    return f'; quote it: "{{{name}}}"' if _alone(name, block) else ""


def _alone(name: str, value: Any) -> bool:
    """Whether a `{name}` without quotes, a mapping of one key to nothing, is in a body."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return value == {name: None} or any(_alone(name, each) for each in inner)


def nulls(endpoint: Endpoint, _: Estate) -> Told:
    """An optional parameter that is left out is NULL in SQL, and no comparison with NULL holds: no rows, and nobody told."""
    for side, block, source in endpoint.blocks() if endpoint.operation.effect == "read" else ():
        if source is None or "sql" not in block:
            continue
        for name, param in endpoint.params.items():
            may_be_left_out = param.field.optional and param.where != "path"
            if may_be_left_out and name in source.target.uses and not _guarded(name, block["sql"]):
                kind = _SQL_TYPES.get(param.field.type, "VARCHAR(100)")
                write = f"write (CAST(:{name} AS {kind}) IS NULL OR ...), or make it required"
                yield (side, "sql"), f"'{name}' is optional, and NULL in the SQL when it is left out, so that no row is found: {write}"


def _guarded(name: str, sql: str) -> bool:
    """Whether the statement asks if the value is there. PostgreSQL and others take `:name IS NULL` only with a CAST around the name."""
    text = re.sub(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", " ", sql, flags=re.S)
    asked = rf"(:{name}|CAST\s*\(\s*:{name}\s+AS\s+[^():]+(\([^()]*\))?\s*\))\s+IS\s+(NOT\s+)?NULL\b|COALESCE\s*\(\s*:{name}\s*,"
    return re.search(asked, text, re.I) is not None


def rules(endpoint: Endpoint, _: Estate) -> Told:
    """Read rules belong to response fields and end in their types."""
    fields, _at = response(endpoint)
    for side, block, _source in endpoint.blocks():
        yield from _rules(block.get("read", {}), fields, (side, "read"))


def _rules(read: Mapping[str, Any], fields: Mapping[str, Any], path: Path) -> Told:
    for name, rule in read.items():
        if name not in fields:
            yield (*path, name), f"a rule reads '{name}', which the response does not have{instead(name, fields)}"
        elif not isinstance(rule, str):
            yield from _rule(rule, name, fields[name], (*path, name))
            yield from _rules(rule.get("of", {}), fields[name].get("of", {}), (*path, name, "of"))


def _rule(rule: Mapping[str, Any], name: str, field: Mapping[str, Any], path: Path) -> Told:
    how, wanted = rule.get("from"), field["type"]
    if how is not None and how.startswith("py:"):
        if not _PY.fullmatch(how):
            yield (*path, "from"), f"'{how}' must be py:package.module.function"
    elif how is not None and how not in CONVERTERS:
        yield (*path, "from"), f"'{how}' is not a conversion{instead(how, CONVERTERS)}, py:package.module.function"
    elif how is not None and _GIVES.get(how, "date") != wanted:
        yield (*path, "from"), f"the conversion {how} gives {_GIVES.get(how, 'date')}; '{name}' is {wanted}"
    if (how == "yymmdd") != ("window" in rule):
        yield (*path, "from" if how else "window"), "yymmdd needs a window (the first of its hundred years), and nothing else has one"
    if "none_when" in rule and not field.get("optional"):
        yield (*path, "none_when"), f"none_when makes '{name}' null, but it is not optional: every such row would be rejected"
    yield from _values(rule.get("values", {}), name, field, path)


def _values(values: Mapping[str, Any], name: str, field: Mapping[str, Any], path: Path) -> Told:
    for code, value in values.items():
        if "one_of" in field and value not in field["one_of"]:
            yield (*path, "values", code), f"the code {code} becomes '{value}', which '{name}' can't be{instead(value, field['one_of'])}"
        elif field["type"] in ("integer", "decimal", "boolean") and not _converts(value, field["type"]):
            yield (*path, "values", code), f"the code {code} becomes '{value}'; '{name}' is {field['type']}"


def _converts(value: Any, wanted: str) -> bool:
    try:
        convert.BY_TYPE[wanted](value)
    except ValueError:
        return False
    return True


def gives(endpoint: Endpoint, _: Estate) -> Told:
    """Every response field has a source in what the block's records carry, where that is known before the answer."""
    at = response(endpoint)[1]
    for side, block, source in endpoint.blocks():
        known = source.target.gives if source is not None and not source.transform_records else None
        if source is None or known is None:
            continue
        for path, raw in _ungiven(endpoint.operation.fields, source.read, known):
            place = (side, "read", *path) if path[0] in block.get("read", {}) else (*at, *path)
            yield place, f"'{path[-1]}' has no source: the {side} block gives nothing called '{raw}'{instead(raw, known)}"


def _ungiven(
    fields: Iterable[Field], rules: Mapping[str, ReadRule], known: Set[str], path: Path = (), above: str = ""
) -> Iterator[tuple[Path, str]]:
    """Path and raw path of every field that is not given; nothing more of what is inside it."""
    for field in fields:
        rule = rules.get(field.name, ReadRule(field.name))
        raw, here = above + rule.raw, (*path, field.name)
        if _given(raw, known):
            yield from _ungiven(field.of, rule.of, known, (*here, "of"), f"{raw}/")
        else:
            yield here, raw


def _given(raw: str, known: Set[str]) -> bool:
    """A raw path is known, or around something known, or inside something of which no inside is known."""
    if raw in known or any(one.startswith(f"{raw}/") for one in known):
        return True
    above = raw.rpartition("/")[0]
    return bool(above) and above in known and not any(one.startswith(f"{above}/") for one in known)


def writes(endpoint: Endpoint, estate: Estate) -> Told:
    """A write happens once: nothing may repeat it."""
    effect = endpoint.operation.effect
    for side, block, source in endpoint.blocks():
        if effect == "write" and "repeat" in block:
            yield (side, "repeat"), "repeat says how often a read may be asked; a write is never repeated"
        if effect == "write":
            for name, rule in block.get("errors", {}).items():
                if rule.get("retry"):
                    yield (side, "errors", name, "retry"), "a write is never sent again: leave `retry` out, the caller decides"
        if source is not None and source.deferred and effect != "write":
            yield ("effect",), f"a drop that is answered later is `effect: write`, met '{effect}'"
        if source is not None and source.deferred and source.transform_params:
            yield (side, "transform", "params"), "a drop is filled with the request's own parameters"
        if source is not None and source.ask is not None:
            yield from _ask((side, "commit", "ask"), source.ask, endpoint, estate)


def _ask(path: Path, ask: Ask, endpoint: Endpoint, estate: Estate) -> Told:
    """`commit.ask`: what to look at when a write's outcome is not known."""
    name, read = ask.operation, estate.endpoints.get(ask.operation)
    if name not in estate.names:
        yield path, f"there is no endpoint '{name}' to ask{instead(name, estate.names)}"
    if read is None:
        return
    if read.operation.effect != "read":
        yield path, f"'{name}' can't be asked for an outcome: it is `effect: {read.operation.effect}`"
    elif "parts" in read.raw or read.operation.shape != "object":
        yield path, f"'{name}' can't be asked for an outcome: it must answer with one object, and be no join"
    yield from _ask_fits(path, ask, endpoint, estate)


def _ask_fits(path: Path, ask: Ask, endpoint: Endpoint, estate: Estate) -> Told:
    """What `with` and `shows` say, and what is left out, is there on both sides."""
    name, read, whole = ask.operation, estate.endpoints[ask.operation], asked(ask, endpoint.operation, estate.endpoints)
    for param in read.params.values():
        if param.field.name not in whole.params and not param.field.optional:
            yield path, f"{name} needs the parameter '{param.field.name}': say it under `with`"
    for key, given, known in (("with", ask.params, read.params), ("shows", ask.shows, read.fields)):
        for word, text in given.items():
            if word not in known:
                yield (*path, key, word), f"{name} has no '{word}'{instead(word, known)}"
            yield from _filled((*path, key, word), text, endpoint)
    if not whole.shows:
        yield path, f"{name} shows nothing that this write changes: say under `shows` what it shows once the write is done"


def _filled(path: Path, text: str, endpoint: Endpoint) -> Told:
    try:
        for used in sorted(template.parse(text).uses - endpoint.params.keys()):
            yield path, f"'{used}' is not a parameter of this write{instead(used, endpoint.params)}"
    except ValueError as error:
        yield path, str(error)


def references(endpoint: Endpoint, _: Estate) -> Told:
    """Hosts and secrets are in systems.yaml, as references."""
    for side, block, _source in endpoint.blocks():
        for path, value in texts(block, (side,)):
            if re.match(r"(env|file):", value) or re.search(r"[a-z][a-z0-9+.-]*://", value):
                yield path, "hosts, addresses and secrets do not belong in an endpoint file: put a reference (env:NAME) into systems.yaml"


def sourceless(endpoint: Endpoint, _: Estate) -> Told:
    """Only a join's fields have expressions."""
    if "parts" not in endpoint.raw:
        for path, name, raw in walk(*response(endpoint)):
            if "from" in raw:
                yield (*path, "from"), f"'{name}' has an expression, which only a join has: say under legacy.read where it comes from"


CHECKS = (sides, params, nulls, rules, gives, writes, references, sourceless)
