"""The shape of catalogue files, as JSON Schema 2020-12: what the loader validates with and `figway schema` prints.

The facade's own part is here; SYSTEM and TARGET of each adapter kind are put in beside it. A block's kind is told by the keys that
only one kind has, with if/then, and never by `oneOf`: that would answer one wrong key in an ODBC block with "'screen' is required".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters import registry
from adapters.blocks import strict
from wrapper import convert
from wrapper.catalogue.schema_access import ACCESS, PURPOSE, SCOPE
from wrapper.catalogue.schema_migration import MIGRATION
from wrapper.catalogue.schema_parts import FLAG, RATIO, WORD, duration, listed, named, percent, said, text, whole

Schema = Mapping[str, Any]

TYPES = ("string", "integer", "decimal", "date", "datetime", "boolean", "list", "object")
MASKS = ("last4", "initials", "hidden", "drop", "hmac", "token")
PII = ("name", "address", "national_id", "account_number", "birth_date", "contact", "health", "financial", "other")
ENDPOINT_NAME = text("", r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$", "a name like accounts.list")
CONVERTERS = sorted({*convert.NAMED, "yymmdd"})

_FIELD = {
    "type": said({"enum": list(TYPES)}, "a decimal is exact, and a text in JSON; a datetime has an offset"),
    "optional": {**FLAG, "description": "may be missing: null in an answer, left out of a request"},
    "currency": text("ISO 4217; gives a decimal its digits after the point", "^[A-Z]{3}$", "a currency code like GBP"),
    "scale": whole(0, 9, "digits after the point of a decimal that is not money"),
    "one_of": listed(WORD, "the words allowed"),
    "pattern": text("what the whole text must match: RE2 syntax, no look-around, no back-reference"),
    "min_length": whole(0, 65536, "characters"),
    "max_length": whole(1, 65536, "characters"),
    "minimum": {"type": "number", "description": "of an integer or decimal"},
    "maximum": {"type": "number", "description": "of an integer or decimal"},
    "most": whole(1, 100_000, "the longest a list may be"),
    "pii": said({"enum": list(PII)}, "what kind of personal data this is; none but `financial` enters a model"),
    "summary": text("for the documentation page"),
    "of": {"$ref": "#/$defs/fields"},
}
_FIELDS = named(
    strict(
        "type",
        key=said(FLAG, "tells the rows apart"),
        from_=text("a join's value: an expression over its parts, like sum(accounts.balance)"),
        mask=said({"enum": list(MASKS)}, "how it leaves for callers who may not see it; drop when only shown_to is said"),
        shown_to=listed(SCOPE, "callers with one of these scopes see it; those with pii:read unless stated"),
        **_FIELD,
    ),
    "a field",
)
_PARAMS = named(
    strict("type in", in_=said({"enum": ["path", "query", "header", "body"]}, "where callers send it"), **_FIELD), "a parameter"
)
_RULE = {
    **strict(
        "",
        raw=text("the back end's own name, or path (Result/Ref); left out: the field's name"),
        from_=text("how raw text becomes a value: " + ", ".join(CONVERTERS) + ", or py:package.module.function"),
        values={"type": "object", "minProperties": 1, "additionalProperties": {"type": ["string", "integer", "boolean"]}},
        none_when=listed({"type": "string"}, "texts that mean missing"),
        window=whole(1900, 2099, "yymmdd: the first of the hundred years"),
        of={"$ref": "#/$defs/read"},
    ),
    "type": ["string", "object"],
    "minLength": 1,
}
_ERROR = strict(
    "when status",
    when={"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "minLength": 1}},
    status=whole(400, 599, "what callers get"),
    retry=said(FLAG, "asking again may help: a read is asked again, twice at most, within its deadline"),
    detail=text("what callers are told"),
)
_FUNCTION = text("", r"^py:[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$", "a function's name like py:package.module.function")
_BLOCK = {
    "system": text("a name of systems.yaml"),
    "read": {"$ref": "#/$defs/read"},
    "errors": named(_ERROR, "an error"),
    "repeat": {"enum": ["allowed", "never"], "description": "never: a read that costs or leaves a trace"},
    "transform": strict(
        "",
        records=said(_FUNCTION, "what makes this side's records what `read` expects"),
        params=said(_FUNCTION, "what makes the request's parameters what this block is filled with"),
    ),
}
_OBJECT = {
    **strict("any", any=text("any value will do; the reason why")),
    "type": ["string", "object"],
    "pattern": r"^(claim:[a-z][a-z0-9_]*|py:[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+)$",
    "patternErrorMessage": "expected a claim of the caller, like claim:customer, or a function, like py:package.module.function",
}
_AUTH = strict(
    "",
    scope=said(SCOPE, "what the caller must be allowed"),
    any=text("open to every key; the reason why"),
    purpose=listed(PURPOSE, "the caller is here for one of these"),
    object=said(named(_OBJECT, "a parameter", r"^[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,63})*$"), "about whom callers may ask"),
)
_LIMITS = strict(
    "deadline",
    deadline=duration("how long a caller waits at most"),
    rate=strict("", per_consumer=said(RATIO, "how often one consumer may ask"), whole=said(RATIO, "how often all of them together may")),
    concurrency=whole(1, 1000, "calls at once, of all workers; the system's own limit holds too"),
    cache=strict(
        "ttl",
        ttl=duration("how long an answer is kept"),
        stale_if_down=duration("how much longer it may be served, called stale, while the back end is down"),
        score_stale=said(FLAG, "true: stale answers are scored too"),
        key=listed(WORD, "all parameters"),
    ),
    breaker=strict(
        "open_after window probe_every",
        open_after=whole(1, 1000, "failures within the window for which no success has made up"),
        window=duration("longer than the deadline"),
        probe_every=duration("how long it is left alone, and then between probes"),
    ),
)
_SCORING = strict(
    "model features",
    model=text(
        "a folder of models/ and one in it",
        r"^[a-z0-9][a-z0-9_-]*@[0-9A-Za-z][0-9A-Za-z.-]*$",
        "a model and its version, like default-risk@1",
    ),
    features={"type": "object", "minProperties": 1, "additionalProperties": WORD},
    on_missing=said({"enum": ["as_trained", "refuse"]}, "what a missing feature does; as_trained unless stated"),
    per_row=said(FLAG, "each of response.items has a score of its own"),
    decides=said(
        named({"type": "number"}, "an outcome"), "each score decides, and is kept with its reasons: outcomes, each from its score on"
    ),
)
_EXPECT = strict("status", status=whole(200, 599), count=whole(0, 1_000_000), data={"type": ["object", "array"]}, score={"type": "number"})
_PART = strict(
    "use with",
    use=text("the endpoint to ask"),
    with_={"type": "object", "minProperties": 1, "additionalProperties": WORD},
    required={**FLAG, "description": "false: the join is answered without it too"},
)
_ENDPOINT = strict(
    "endpoint summary owner group route auth effect response limits examples",
    endpoint=ENDPOINT_NAME,
    summary=text("for the documentation page"),
    owner=text("the team that answers for it"),
    group=text("endpoints of one business entity move together"),
    route=text(
        "", r"^(GET|POST|PUT|PATCH|DELETE) (/([A-Za-z0-9_.~-]+|\{[a-z][a-z0-9_]*\}))+$", "a route like GET /v1/customers/{customer_id}"
    ),
    auth=_AUTH,
    effect=said({"enum": ["read", "idempotent", "write"]}, "a write happens once: callers send an Idempotency-Key"),
    invalidates=listed(ENDPOINT_NAME, "the cached reads whose answers it changes"),
    request=_PARAMS,
    response={**strict("", items={"$ref": "#/$defs/fields"}, object={"$ref": "#/$defs/fields"}), "minProperties": 1, "maxProperties": 1},
    legacy={"$ref": "#/$defs/block"},
    modern={"$ref": "#/$defs/block"},
    parts=named(_PART, "a part"),
    limits=_LIMITS,
    quality=strict("", rejected_at_most=percent("rows that may be unreadable"), required=listed(WORD, "fields that no row may lack")),
    scoring=_SCORING,
    migration=MIGRATION,
    examples={"type": "array", "minItems": 1, "items": strict("request expect", request={"type": "object"}, expect=_EXPECT)},
)
_HOURS = strict(
    "open timezone",
    open=text(
        "outside of these it is closed: 503 until it opens",
        "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]( [A-Z][a-z]{2}(-[A-Z][a-z]{2})?)?$",
        "hours like 07:00-21:30 Mon-Sat",
    ),
    timezone=WORD,
    cutover=text("when its next business day begins (not used)", "^([01][0-9]|2[0-3]):[0-5][0-9]$", "a time like 18:00"),
)
_CLEAR = text("the reason why it may be spoken to without verified TLS")
_SYSTEM_RATE = said(RATIO, "how often it may be asked, by all workers together")
_SYSTEMS = strict("systems", systems=named({"$ref": "#/$defs/system"}, "a system", "^[a-z][a-z0-9_-]{0,63}$"))


def definitions(kinds: Sequence[str]) -> dict[str, Schema]:
    """Every part by name; `tn3270.system` and `tn3270.block` are a kind's own. Blocks of a kind not yet told are left open."""
    made: dict[str, Schema] = {
        "endpoint": _ENDPOINT,
        "fields": _FIELDS,
        "read": named(_RULE, "a field"),
        "systems": _SYSTEMS,
        "access": ACCESS,
    }
    made["system"] = {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": sorted(registry.KINDS)}}}
    made["block"] = {"type": "object", "required": ["system"], "properties": {"system": _BLOCK["system"]}}
    for kind in kinds:
        module = registry.target(kind)
        made[f"{kind}.system"] = _with(
            module.SYSTEM, {"kind": {"const": kind}, "hours": _HOURS, "clear": _CLEAR, "rate": _SYSTEM_RATE}, "kind"
        )
        made[f"{kind}.block"] = _with(module.TARGET, _BLOCK, "system")
    return made


def json_schema() -> dict[str, Any]:
    """For editors: one schema for systems.yaml, access.yaml and endpoint files, told apart by their first keys."""
    kinds = sorted(registry.KINDS)
    made = definitions(kinds)
    made["system"] = {**made["system"], "allOf": [_when({"properties": {"kind": {"const": k}}}, f"{k}.system") for k in kinds]}
    keys = {kind: set(made[f"{kind}.block"]["properties"]) for kind in kinds}
    own = {kind: sorted(keys[kind] - set().union(*(keys[k] for k in kinds if k != kind))) for kind in kinds}
    told = [_when({"anyOf": [{"required": [key]} for key in own[kind]]}, f"{kind}.block") for kind in kinds]
    every = dict.fromkeys(sorted(set().union(*keys.values())), True)
    made["block"] = {**made["block"], "properties": {**every, **_BLOCK}, "additionalProperties": False, "allOf": told}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Figway catalogue: systems.yaml, access.yaml and endpoints/*.yaml",
        **_when({"required": ["systems"]}, "systems"),
        "else": {**_when({"required": ["endpoint"]}, "endpoint"), "else": {"$ref": "#/$defs/access"}},
        "$defs": made,
    }


def _with(own: Schema, common: Schema, required: str) -> Schema:
    """A kind's schema with the keys that every kind has."""
    return {**own, "properties": {**common, **own["properties"]}, "required": [required, *own.get("required", ())]}


def _when(condition: Schema, name: str) -> dict[str, Any]:
    return {"if": condition, "then": {"$ref": f"#/$defs/{name}"}}
