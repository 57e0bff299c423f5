"""Reads a folder of screen files and finds what is wrong with it: every fault with its file and the place in it. No terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any
from weakref import WeakKeyDictionary

from jsonschema import Draft202012Validator

from adapters.base import BadTarget, Fault, Files
from adapters.blocks import instead
from adapters.tn3270.definition import LOGON, SCREEN, Definition, Edge, Field, Graph, Logon, Place, logon, screen

Path = tuple[str | int, ...]

_KNOWN: WeakKeyDictionary[Files, dict[str, Graph]] = WeakKeyDictionary()


def load(files: Files, logon_file: str) -> Graph:
    """All screens beside the logon file, checked once, however many endpoints ask. Raises BadTarget with all their faults."""
    found = {file: files.yaml(file) for file in files.names(logon_file.rpartition("/")[0], ".yaml")}
    signon = files.yaml(logon_file)  # each endpoint asks for all of its files: they are part of its hash
    known = _KNOWN.setdefault(files, {})
    if logon_file not in known:
        known[logon_file] = _graph(found, signon, logon_file)
    return known[logon_file]


def _graph(found: Mapping[str, Any], raw_logon: Any, logon_file: str) -> Graph:
    faults: list[Fault] = []
    screens: dict[str, Definition] = {}
    homes: dict[str, str] = {}
    for file, raw in found.items():
        if isinstance(raw, Mapping) and "home" in raw:  # a logon file, of this system or another
            continue
        defined = _parsed(raw, SCREEN, screen, file, faults)
        if defined and defined.name in screens:
            faults.append(Fault(("screen",), f"screen '{defined.name}' is defined in {homes[defined.name]} too", file))
        elif defined:
            screens[defined.name], homes[defined.name] = defined, file
    signon = _parsed(raw_logon, LOGON, logon, logon_file, faults)
    if faults or signon is None:
        raise BadTarget(faults)
    graph = Graph(screens, signon)
    for name, defined in screens.items():
        faults += [Fault(path, message, homes[name]) for path, message in (*_geometry(defined), *_edges(defined, graph))]
    faults += [Fault(("identify",), f"{b} can't be told from {a}", homes[b]) for a, b in _twins(screens)]
    faults += [Fault(path, message, logon_file) for path, message in _logon(graph)]
    if faults:
        raise BadTarget(faults)
    return graph


def nearest(what: str, name: str, allowed: Iterable[str]) -> str:
    """`what 'name'` is unknown, and what was perhaps meant."""
    return f"unknown {what} '{name}'{instead(name, allowed)}"


def typed(fields: Mapping[str, Any], defined: Definition, path: Path) -> Iterator[tuple[Path, str]]:
    """Faults of a map whose keys are to be typed into the fields of a screen."""
    for name in fields:
        if name not in defined.fields:
            yield (*path, name), nearest(f"field of {defined.name}", name, defined.fields)
        elif not defined.fields[name].input:
            yield (*path, name), f"'{name}' of {defined.name} is not an input field"


def _parsed(raw: Any, schema: Mapping[str, Any], make: Any, file: str, faults: list[Fault]) -> Any:
    errors = [fault for error in Draft202012Validator(schema).iter_errors(raw) for fault in _schema_faults(error, file)]
    faults += errors
    if errors:
        return None
    try:
        return make(raw)
    except ValueError as error:
        faults.append(Fault((), str(error), file))
        return None


def _schema_faults(error: Any, file: str) -> Iterator[Fault]:
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        allowed = error.schema["properties"]
        for key in error.instance.keys() - allowed.keys():
            yield Fault((*path, key), nearest("key", key, allowed), file)
    elif error.validator == "enum":
        yield Fault(path, nearest("word", str(error.instance), map(str, error.validator_value)), file)
    elif error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        yield Fault(path, f"needs {', '.join(missing)}", file)
    else:
        yield Fault(path, error.message, file)


def _geometry(defined: Definition) -> Iterator[tuple[Path, str]]:
    size = f"{defined.rows}x{defined.columns}"
    for n, place in enumerate(defined.identify):
        if not _fits(place.row, place.column, len(place.text), defined):
            yield ("identify", n, "at"), f"'{place.text}' does not fit a {size} screen"
    for key, places in (("ready", defined.ready), ("prompt", defined.prompt)):
        if any(not _fits(place.row, place.column, len(place.text), defined) for place in places):
            yield (key, "at"), f"does not fit a {size} screen"
    for name, field in defined.fields.items():
        if not _fits(field.row, field.column, field.length, defined):
            yield ("fields", name), f"row {field.row}, columns {_columns(field)} are not on a {size} screen"
    yield from (((("fields", b), f"overlaps '{a}'")) for a, b in _overlaps(tuple(defined.fields.values())))
    if defined.table:
        yield from _table(defined)


def _table(defined: Definition) -> Iterator[tuple[Path, str]]:
    table = defined.table
    assert table is not None
    if not 1 <= table.first <= table.last <= defined.rows:
        yield ("table", "rows"), f"{table.first} to {table.last} are not rows of a screen with {defined.rows}"
    for column in table.columns:
        if column.column + column.length - 1 > defined.columns:
            yield ("table", "columns", column.name), f"columns {_columns(column)} are past the row's {defined.columns}"
    yield from ((("table", "columns", b), f"overlaps '{a}'") for a, b in _overlaps(table.columns))
    if table.key not in {c.name for c in table.columns}:
        yield ("table", "key"), nearest("column", table.key, (c.name for c in table.columns))
    if table.count is not None and table.count not in defined.fields:
        yield ("table", "count"), nearest("field", table.count, defined.fields)
    if table.last_field not in defined.fields:
        yield ("table", "last_when", "field"), nearest("field", table.last_field, defined.fields)


def _fits(row: int, column: int, length: int, defined: Definition) -> bool:
    return row <= defined.rows and column + length - 1 <= defined.columns


def _columns(field: Field) -> str:
    return f"{field.column} to {field.column + field.length - 1}"


def _overlaps(fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    for a, b in combinations(fields, 2):
        if a.row == b.row and a.column < b.column + b.length and b.column < a.column + a.length:
            yield a.name, b.name


def _edges(defined: Definition, graph: Graph) -> Iterator[tuple[Path, str]]:
    """Faults of the way to a screen and away from it."""
    signon = graph.logon
    for n, edge in enumerate(defined.reach):
        path: Path = ("reach",) if len(defined.reach) == 1 else ("reach", n)
        if edge.source not in graph.screens:
            yield (*path, "from"), nearest("screen", edge.source, graph.screens)
        else:
            yield from _step(edge, graph, (*path, "type"), frozenset())
    if defined.name in {signon.home, *signon.path, *signon.interrupts, *signon.lost}:
        return
    if not graph.route(defined.name):
        yield ("reach",) if defined.reach else ("screen",), f"{defined.name} can't be reached from home, {signon.home}"
    if defined.leave is None:
        yield ("screen",), f"{defined.name} has no 'leave' key, so no session could come back from it"


def _step(edge: Edge, graph: Graph, path: Path, uses: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Faults of what an edge types; its templates may use `uses`."""
    yield from typed(edge.type, graph.screens[edge.source], path)
    for name, template in edge.type.items():
        for used in template.uses - uses:
            yield (*path, name), f"'{{{used}}}' can't be used here; allowed: {', '.join(sorted(uses)) or 'fixed text only'}"


def _twins(screens: Mapping[str, Definition]) -> Iterator[tuple[str, str]]:
    def told_by(name: str) -> tuple[int, frozenset[Place]]:
        return screens[name].rows, frozenset(screens[name].identify)

    return ((a, b) for a, b in combinations(screens, 2) if told_by(a) == told_by(b))


def _logon(graph: Graph) -> Iterator[tuple[Path, str]]:
    signon: Logon = graph.logon
    named: list[tuple[Path, str]] = [(("home",), signon.home), (("logoff", "screen"), signon.logoff.source)]
    for block, names in (
        ("path", signon.path),
        ("refused", signon.refused),
        ("busy", signon.busy),
        ("interrupts", signon.interrupts),
        ("lost", signon.lost),
    ):
        named += [((block, name), name) for name in names]
    unknown = [(path, nearest("screen", name, graph.screens)) for path, name in named if name not in graph.screens]
    yield from unknown
    if unknown:
        return
    for name, edge in signon.path.items():
        yield from _step(edge, graph, ("path", name, "type"), frozenset({"user", "password"}))
    yield from _step(signon.logoff, graph, ("logoff", "type"), frozenset())
    for block, said in (("refused", signon.refused), ("busy", signon.busy)):
        for name, fields in said.items():
            for field in fields.keys() - graph.screens[name].fields.keys():
                yield (block, name, field), nearest(f"field of {name}", field, graph.screens[name].fields)
