"""Joins, and the expressions by which answers become other answers and features: is every name in them known, and of the right kind?"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from adapters import template
from adapters.blocks import instead
from scoring import features
from scoring.card import Feature
from scoring.features import OVER_ROWS, BadExpression, Expression
from wrapper.catalogue.build import Endpoint, needs
from wrapper.catalogue.estate import Estate, Told, response
from wrapper.catalogue.found import Path
from wrapper.operation import Field, ObjectRule, Part

Result = TypeVar("Result")
Finding = Generator[tuple[Path, str], None, Result]
"""Yields faults, returns what was looked for."""

_NUMBERS = ("integer", "decimal")
_TAKES = {"number": _NUMBERS, "category": ("string",), "flag": ("boolean",)}


def parts(endpoint: Endpoint, estate: Estate) -> Told:
    """A join asks reads, one level deep, and gives each its parameters."""
    raw = endpoint.raw.get("parts", {})
    if raw and endpoint.operation.effect != "read":
        yield ("effect",), f"a join is `effect: read`, met '{endpoint.operation.effect}'"
    if raw and endpoint.operation.shape != "object":
        yield ("response", "items"), "a join answers with response.object"
    for name in raw:
        part = Part(name, raw[name]["use"], raw[name]["with"], raw[name].get("required", True))
        if name in endpoint.params:
            yield ("parts", name), f"the part '{name}' has the name of a parameter: give it another"
        yield from _asked(part, endpoint, estate)
        yield from _filled(part, endpoint, estate)
    yield from _circles(endpoint)
    used = frozenset().union(*(needs(part) for part in endpoint.operation.parts))
    for name in endpoint.params if raw else ():
        if name not in used:
            yield ("request", name), f"the parameter '{name}' is given to no part"


def _asked(part: Part, endpoint: Endpoint, estate: Estate) -> Told:
    path: Path = ("parts", part.name, "use")
    if part.operation not in estate.names:
        yield path, f"there is no endpoint '{part.operation}'{instead(part.operation, estate.names)}"
    asked = estate.endpoints.get(part.operation)
    if asked is None:
        return
    if "parts" in asked.raw:
        yield path, f"'{part.operation}' is a join itself: joins do not nest, name its parts here"
    elif asked.operation.effect != "read":
        yield path, f"'{part.operation}' is `effect: {asked.operation.effect}`: a join only reads"
    params = asked.params
    for name in part.params:
        if name not in params:
            yield ("parts", part.name, "with", name), f"{part.operation} has no parameter '{name}'{instead(name, params)}"
    for name, param in params.items():
        if name not in part.params and not param.field.optional:
            yield ("parts", part.name, "with"), f"{part.operation} needs the parameter '{name}'"
    yield from _claimed(part, asked, endpoint)
    yield from _meant(path, asked, endpoint)


def _claimed(part: Part, asked: Endpoint, endpoint: Endpoint) -> Told:
    """A join asks about nobody whom its caller could not ask about directly. It is authorised once, by its own rules; so a part's bound
    parameter is one that the join binds alike, or comes out of what was answered about somebody whom the join's rules have let through."""
    for name, rule in asked.operation.auth.object.items():
        first, _, rest = name.partition(".")
        if first in part.params and not rule.reason and not _bound(part.params[first], rest, rule, endpoint):
            whose, binds = (f"the caller's claim '{rule.claim}'", f"claim:{rule.claim}") if rule.claim else (rule.may, rule.may)
            round_it = f"{part.operation} binds '{name}' to {whose}, and this join goes round it"
            yield ("parts", part.name, "with", first), f"{round_it}: fill it with a parameter that auth.object binds to {binds}"


def _meant(path: Path, asked: Endpoint, endpoint: Endpoint) -> Told:
    """A join asks for no purpose for which its part may not be asked: its own `auth` stands for all its parts."""
    allowed, mine = asked.operation.auth.purposes, endpoint.operation.auth.purposes
    others = [purpose for purpose in mine if purpose not in allowed]
    if allowed and (others or not mine):
        met = f"for {', '.join(others)} too" if mine else "for any purpose"
        only = f"{asked.operation.name} may be asked for {', '.join(allowed)} only, and this join"
        yield path, f"{only} {met}: say under auth `purpose: [{', '.join(allowed)}]`"


def _bound(text: str, rest: str, rule: ObjectRule, endpoint: Endpoint) -> bool:
    """What can't be read is told elsewhere."""
    try:
        hole = template.parse(text).whole or ""
    except ValueError:
        return True
    if "." in hole:
        return _follows(hole.partition(".")[0], endpoint, frozenset())
    return endpoint.operation.auth.object.get(f"{hole}.{rest}" if rest else hole) == rule


def _follows(part: str, endpoint: Endpoint, seen: frozenset[str]) -> bool:
    """Whether a part was asked about a parameter that the join's rules hold, directly or by way of other parts. One that is not there, or
    waits for itself, is told elsewhere."""
    raw = endpoint.raw["parts"]
    if part not in raw or part in seen:
        return True
    rules = endpoint.operation.auth.object
    held = {path.partition(".")[0] for path, rule in rules.items() if not rule.reason}
    used = needs(Part(part, "", raw[part]["with"]))
    return bool(used & held) or any(_follows(name, endpoint, seen | {part}) for name in used & raw.keys())


def _filled(part: Part, endpoint: Endpoint, estate: Estate) -> Told:
    """Each template names a parameter of the join, or one value of another part."""
    raw = endpoint.raw["parts"]
    for name, text in part.params.items():
        path: Path = ("parts", part.name, "with", name)
        try:
            holes = [hole[0] for hole in template.parse(text).parts if isinstance(hole, tuple)]
        except ValueError as error:
            yield path, str(error)
            continue
        for hole in holes:
            first, _, rest = hole.partition(".")
            if first in raw and not rest:
                yield path, f"'{first}' is a whole part: name a field of it, like {{{first}.{name}}}"
            elif first in raw:
                yield from _ends_in(Expression(hole, "field", first, tuple(rest.split("."))), path, endpoint, estate)
                if part.required and not raw[first].get("required", True):
                    yield path, f"'{part.name}' is required but needs '{first}', which is not: make both optional, or both required"
            elif hole not in endpoint.params:
                yield path, f"'{hole}' is neither a parameter nor part.field{instead(first, [*endpoint.params, *raw])}"


def _circles(endpoint: Endpoint) -> Told:
    raw = endpoint.raw.get("parts", {})
    placed = {part.name for part in endpoint.operation.parts}
    for name in raw:
        if name not in placed:
            on = sorted(needs(Part(name, "", raw[name]["with"])) & raw.keys() - placed)
            yield ("parts", name, "with"), f"the parts go in a circle: '{name}' waits for {', '.join(on)}"


def values(endpoint: Endpoint, estate: Estate) -> Told:
    """A join's response: every field has an expression of its type, or a parameter's name."""
    if "parts" not in endpoint.raw:
        return
    _raw, at = response(endpoint)
    for name, field in endpoint.fields.items():
        if field.source is None:
            if name not in endpoint.params:
                yield (*at, name), f"'{name}' has no source: say `from:` an expression over the parts, or name a parameter"
            continue
        path = (*at, name, "from")
        expression, found = yield from _read(field.source, path, endpoint, estate)
        if expression.function == "mean":
            yield path, f"{field.source}: a mean has no last digit: it can feed a feature, not an answer"
        yield from _unmasked(field, expression, found, (*at, name))
        if found is not None and _type(expression, found) != field.type:
            yield path, f"{field.source} gives {_type(expression, found)}; '{name}' is {field.type}"
        if found is not None and not field.optional and (found.optional or not _required(expression.part, endpoint)):
            yield (*at, name), f"{field.source} may be missing: make '{name}' optional"


def _unmasked(field: Field, expression: Expression, found: Field | None, path: Path) -> Told:
    """A join shows nothing that its part keeps back: what is personal there is personal here, and says here who sees it."""
    if found is None or expression.function not in ("field", "min", "max"):
        return
    if found.pii and not field.pii:
        yield path, f"'{found.name}' of '{expression.part}' is personal ({found.pii}): say `pii: {found.pii}` here too"
    elif found.mask and not field.mask:
        yield path, f"'{expression.part}' shows '{found.name}' masked ({found.mask}): say `mask: {found.mask}` here too"


def scoring(endpoint: Endpoint, estate: Estate) -> Told:
    """The model exists and gets every feature, of its kind, and no direct identifier."""
    spec = endpoint.operation.scoring
    if spec is None:
        return
    if endpoint.operation.effect != "read":
        yield ("scoring",), "only a read is scored"
    if spec.per_row and endpoint.operation.shape != "items":
        yield ("scoring", "per_row"), "per_row scores each of response.items; this answer is one object"
    model = f"{spec.model}@{spec.version}"
    if model not in estate.models:
        yield ("scoring", "model"), f"there is no model '{model}' in {estate.shelf}{instead(model, estate.models)}"
        return
    known = {feature.name: feature for feature in estate.models[model].features}
    for name in known.keys() - spec.features.keys():
        yield ("scoring", "features"), f"the model {model} needs the feature '{name}'"
    for name, text in spec.features.items():
        path: Path = ("scoring", "features", name)
        if name not in known:
            yield path, f"the model {model} has no feature '{name}'{instead(name, known)}"
            continue
        expression, found = yield from _read(text, path, endpoint, estate)
        if found is not None:
            yield from _feature(known[name], expression, found, path)


def _feature(feature: Feature, expression: Expression, found: Field, path: Path) -> Told:
    if found.pii not in (None, "financial") and expression.function not in ("count", "days_since"):
        yield path, f"'{found.name}' is personal data ({found.pii}): only `financial` data enter a model"
    made = _type(expression, found)
    if made not in _TAKES[feature.kind]:
        yield path, f"{expression.source} gives {made}; the feature '{feature.name}' is a {feature.kind}"
    strange = [word for word in found.one_of if word not in (feature.codes or found.one_of)]
    if strange and expression.function == "field":
        yield path, f"'{found.name}' may be {', '.join(strange)}, which the model does not know{instead(strange[0], feature.codes or ())}"


def _read(text: str, path: Path, endpoint: Endpoint, estate: Estate) -> Finding[tuple[Expression, Field | None]]:
    """A text as an expression and the field that it ends in; faults on the way, and None for what is not to be had."""
    try:
        expression = features.parse(text)
    except BadExpression as error:
        yield path, str(error)
        return Expression(text, "", "", ()), None
    return expression, (yield from _ends_in(expression, path, endpoint, estate))


def _ends_in(expression: Expression, path: Path, endpoint: Endpoint, estate: Estate) -> Finding[Field | None]:
    """The field that an expression ends in; None, and a fault, when it does not end in one. `count(part)` ends in the rows."""
    known, many = endpoint.fields, endpoint.operation.shape == "items" and not _per_row(endpoint)
    raw = endpoint.raw.get("parts", {})
    if raw and not expression.part:
        yield path, f"{expression.source}: in a join, name a field of a part, like {next(iter(raw))}.{expression.path[0]}"
        return None
    if expression.part:
        if expression.part not in raw:
            yield path, f"{expression.source}: there is no part '{expression.part}'{instead(expression.part, raw)}"
            return None
        asked = estate.endpoints.get(raw[expression.part]["use"])
        if asked is None:
            return None
        known, many = asked.fields, asked.operation.shape == "items"
    field = Field("", "list")
    for step in expression.path:
        if step not in known:
            yield path, f"{expression.source}: {expression.part or 'the answer'} has no field '{step}'{instead(step, known)}"
            return None
        field = known[step]
        many, known = many or field.type == "list", {inner.name: inner for inner in field.of}
    if field.of and expression.function != "count":
        yield path, f"{expression.source}: '{field.name}' is a {field.type}; name a field in it"
        return None
    if many and expression.function not in OVER_ROWS:
        yield path, f"{expression.source}: there may be many rows; use one of {', '.join(OVER_ROWS)}"
        return None
    return field


def _required(part: str, endpoint: Endpoint) -> bool:
    return bool(endpoint.raw["parts"][part].get("required", True))


def _per_row(endpoint: Endpoint) -> bool:
    return endpoint.operation.scoring is not None and endpoint.operation.scoring.per_row


def _type(expression: Expression, field: Field) -> str:
    """The type that an expression gives over a field of this type."""
    match expression.function:
        case "count" | "days_since" | "rank":
            return "integer"
        case "mean":
            return "decimal" if field.type in _NUMBERS else field.type
    return field.type


CHECKS = (parts, values, scoring)
