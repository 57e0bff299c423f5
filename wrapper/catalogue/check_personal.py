"""What is personal: every endpoint says about whom its callers may ask, and every personal value of an answer who sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from adapters.blocks import instead
from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.estate import Estate, Told, response, walk
from wrapper.operation import Field

SUBJECT = "customer_id"
_NAMING = ("account_number", "national_id")
_SCALARS = ("string", "integer", "decimal", "date", "datetime", "boolean")
_FITS: Mapping[str, Sequence[str]] = {
    "last4": ("string",),
    "initials": ("string",),
    "hidden": _SCALARS,
    "hmac": ("string", "integer", "date"),
    "token": ("string", "integer", "date"),
    "drop": (*_SCALARS, "list", "object"),
}


def subject(endpoint: Endpoint, estate: Estate) -> Told:
    """Who is asked about must be someone the caller may ask about. A parameter names a subject when it is personal, or some endpoint binds
    its name to a claim. In the body of a change only what identifies someone does: the rest is what is to be written."""
    bound = {SUBJECT}.union(*(_claimed(other) for other in estate.endpoints.values()))
    rules = endpoint.operation.auth.object
    for param in endpoint.operation.params:
        content = param.where == "body" and endpoint.operation.effect != "read"
        for path, field in _leaves(param.field):
            named = field.pii in _NAMING or (field.pii is not None and not content)
            if path not in rules and (named or field.name in bound):
                say = f'like `{path}: "claim:customer"`, or why any will do, like `{path}: {{any: the reason}}`'
                yield ("auth",), f"anyone with the scope may ask for any '{path}': say under `object` whose, {say}"


def _claimed(endpoint: Endpoint) -> set[str]:
    return {path.rpartition(".")[2] for path, rule in endpoint.operation.auth.object.items() if rule.claim}


def _leaves(field: Field, path: str = "", pii: str | None = None) -> Iterator[tuple[str, Field]]:
    """The plain values in a parameter, by path. What lies in something personal is personal."""
    at, personal = f"{path}{field.name}", field.pii or pii
    if not field.of:
        yield at, field if field.pii or not pii else Field(field.name, field.type, pii=pii)
    for inner in field.of:
        yield from _leaves(inner, f"{at}.", personal)


def rules(endpoint: Endpoint, _: Estate) -> Told:
    """auth.object names plain values of the request."""
    known = {path for param in endpoint.operation.params for path, _ in _leaves(param.field)}
    for name in endpoint.raw["auth"].get("object", {}):
        if name not in known:
            yield ("auth", "object", name), f"auth.object names '{name}', which is not a parameter{instead(name, sorted(known))}"


def masks(endpoint: Endpoint, _: Estate) -> Told:
    """A personal value of an answer says how it is masked or who sees it, and a mask fits its type."""
    for path, name, raw in walk(*response(endpoint)):
        mask = raw.get("mask")
        if "pii" in raw and mask is None and "shown_to" not in raw:
            say = "say how it is masked, like `mask: hidden`, or to which scopes it is shown, like `shown_to: [pii:read]`"
            yield (*path, "pii"), f"'{name}' is personal ({raw['pii']}) and would leave as it is: {say}"
        if mask is not None and raw["type"] not in _FITS[mask]:
            fitting = ", ".join(kind for kind, types in _FITS.items() if raw["type"] in types)
            yield (*path, "mask"), f"the mask {mask} does not fit '{name}', which is {raw['type']}: use {fitting}"


def decisions(endpoint: Endpoint, estate: Estate) -> Told:
    """What decides about somebody has an outcome for each score, and reasons, and it is known about whom."""
    spec, path = endpoint.operation.scoring, ("scoring", "decides")
    card = estate.models.get(f"{spec.model}@{spec.version}") if spec is not None and spec.decides else None
    if spec is None or card is None:
        return
    (low, high), bands = card.bounds, [least for _, least in spec.decides]
    if bands[0] != low:
        yield path, f"the scores of {card.model}@{card.version} begin at {low:g}: say which outcome holds from there on"
    if bands[-1] > high or len(set(bands)) < len(bands):
        yield path, f"each outcome begins at a score of its own, from {low:g} to {high:g}"
    if spec.per_row or not endpoint.operation.auth.object:
        yield path, "a decision is about one subject: it goes with auth.object, and not with per_row"
    bare = [feature.name for feature in card.features if feature.reference is None]
    if bare:
        yield path, f"the card of {card.model}@{card.version} has no statistics of {', '.join(bare)}, so no reasons can be given"


CHECKS = (subject, rules, masks, decisions)
