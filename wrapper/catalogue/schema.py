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
from wrapper.operation import POLICIES as POLICIES
from wrapper.operation import STAGES as STAGES

Schema = Mapping[str, Any]

NAME = "^[a-z][a-z0-9_]{0,63}$"
DURATION = "^[1-9][0-9]{0,5}(ms|s|m|h|d)$"
PERCENT = "^(100|[1-9]?[0-9](\\.[0-9]{1,4})?)%$"
RATE = "^[1-9][0-9]{0,5}/(s|m|h)$"
TYPES = ("string", "integer", "decimal", "date", "datetime", "boolean", "list", "object")
MASKS = ("last4", "initials", "hidden")


def named(of: Any, what: str, pattern: str = NAME) -> dict[str, Any]:
    """A map whose keys are names."""
    names = {"pattern": pattern, "patternErrorMessage": f"{what} is written in small letters, digits and _"}
    return {"type": "object", "minProperties": 1, "propertyNames": names, "additionalProperties": of}


def text(description: str = "", pattern: str = "", example: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"type": "string", "minLength": 1}
    if description:
        made["description"] = description
    return {**made, "pattern": pattern, "patternErrorMessage": f"expected {example}"} if pattern else made


def said(schema: Any, description: str) -> dict[str, Any]:
    return {**schema, "description": description}


def listed(items: Any, description: str = "") -> dict[str, Any]:
    made = {"type": "array", "minItems": 1, "uniqueItems": True, "items": items}
    return said(made, description) if description else made


def whole(low: int, high: int, description: str = "") -> dict[str, Any]:
    made = {"type": "integer", "minimum": low, "maximum": high}
    return said(made, description) if description else made


def duration(description: str = "") -> dict[str, Any]:
    return text(description, DURATION, "a duration like 500ms, 8s, 10m, 6h or 35d")


def percent(description: str = "") -> dict[str, Any]:
    return text(description, PERCENT, "a percentage from 0% to 100%, like 99.9%")


FLAG = {"type": "boolean"}
WORD = text()
RATIO = text("", RATE, "a rate like 5/s, 100/m or 1000/h")
_MOMENT = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})"
SPAN = text("", f"^{_MOMENT}/{_MOMENT}$", "two times with Z or an offset, like 2026-12-20T00:00Z/2027-01-05T00:00Z")
DAY = text("", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a date like 2026-12-01")
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
    "pii": text("what kind of personal data this is; it never enters a model"),
    "mask": {"enum": list(MASKS), "description": "how it is shown to callers without the scope pii:read"},
    "summary": text("for the documentation page"),
    "of": {"$ref": "#/$defs/fields"},
}
_FIELDS = named(
    strict(
        "type",
        key=said(FLAG, "tells the rows apart"),
        from_=text("a join's value: an expression over its parts, like sum(accounts.balance)"),
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
_AUTH = strict(
    "",
    scope=text("what the caller's key must be allowed", "^[a-z][a-z0-9_-]*:[a-z][a-z0-9_-]*$", "a scope like accounts:read"),
    any=text("open to every key; the reason why"),
    purpose=listed(text("", "^[a-z][a-z0-9-]*$", "a purpose like credit-risk"), "the caller's key has one of these"),
    object=named(text("", "^claim:[a-z][a-z0-9_]*$", "a claim of the caller, like claim:customer"), "a parameter"),
)
_LIMITS = strict(
    "deadline",
    deadline=duration("how long a caller waits at most"),
    rate=strict("", per_consumer=RATIO, whole=RATIO),
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
_SEEN = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": ["string", "integer", "boolean", "array"],
        **{"minItems": 1, "uniqueItems": True, "items": {"type": ["string", "integer", "boolean"]}},
    },
    "properties": {"status": listed(whole(200, 599), "of these each"), "pages": whole(2, 10_000, "an answer of so many pages or more")},
    "description": "what compared answers must have held: values of a response's field, `status`, `pages`",
}
_COMPARE = strict(
    "",
    ignore=listed(WORD, "not compared, with all that is below: items.opened"),
    decimal={"type": "number", "minimum": 0, "description": "how far apart decimals may be"},
    order_by=text("the field by which rows are matched; else the keys of the response"),
    tolerance={
        **{"type": "object", "minProperties": 1, "description": "the same for one path: a number, or a duration for dates and times"},
        "additionalProperties": {**duration(), "type": ["number", "string"], "minimum": 0},
    },
    unordered=listed(WORD, "lists whose order does not count: items.tags, or items"),
    sample=percent("of requests that legacy answers; 100% unless stated"),
    sample_modern=percent("of requests that modern answers; 5% unless stated"),
    self_sample=percent("of legacy's answers that are asked for twice; 1% unless stated"),
    decision={"type": "number", "description": "the score from which on a customer is treated otherwise; 0.5 unless stated"},
)
_GATES = strict(
    "parity_at_least confidence period_at_least",
    parity_at_least=percent("of keys that never differed"),
    confidence=percent("that this is so, however often somebody looks"),
    period_at_least=duration("since the first comparison"),
    unseen_at_most=percent("comparisons due that were not made; 5% unless stated"),
    must_have_seen=_SEEN,
    errors_at_most=percent("of modern's answers"),
    p95_ratio_at_most={"type": "number", "exclusiveMinimum": 0, "description": "modern's 95th percentile of latency over legacy's"},
    score_drift_at_most={"type": "number", "minimum": 0, "description": "mean distance of the two sides' scores"},
    score_flips_at_most=percent("scores on other sides of compare.decision"),
)
_MIGRATION = strict(
    "highest_stage",
    highest_stage=said({"enum": list(STAGES)}, "how far it may go"),
    key=text("the parameter by which traffic sticks to a side"),
    writes=said({"enum": list(POLICIES)}, "who is written to; legacy_only unless stated"),
    compare=_COMPARE,
    promotion=said({"enum": ["by_people", "automatic"]}, "who moves it on; by_people unless stated"),
    steps=listed(percent(), "shares of a canary, ascending; 1%, 10%, 50% unless stated"),
    freeze=listed(SPAN, "nothing is promoted then"),
    promote_when=_GATES,
    roll_back_when=strict(
        "within",
        errors_over=percent("of modern's answers to callers"),
        parity_below=percent("of comparisons"),
        within=duration("how far it looks back"),
        min_count=whole(1, 1_000_000, "of what is counted"),
    ),
    deprecated=said(DAY, "from then on callers are told"),
    sunset=said(DAY, "nobody should call it after that; it is retired by a person"),
    successor=text("", r"^/[^{}]*(\{\w+\}[^{}]*)*$", "a path like /v2/customers/{customer_id}"),
    brown_outs=listed(SPAN, "503 then, so that the last callers notice"),
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
    migration=_MIGRATION,
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
_SYSTEMS = strict("systems", systems=named({"$ref": "#/$defs/system"}, "a system", "^[a-z][a-z0-9_-]{0,63}$"))


def definitions(kinds: Sequence[str]) -> dict[str, Schema]:
    """Every part by name; `tn3270.system` and `tn3270.block` are a kind's own. Blocks of a kind not yet told are left open."""
    made: dict[str, Schema] = {"endpoint": _ENDPOINT, "fields": _FIELDS, "read": named(_RULE, "a field"), "systems": _SYSTEMS}
    made["system"] = {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": sorted(registry.KINDS)}}}
    made["block"] = {"type": "object", "required": ["system"], "properties": {"system": _BLOCK["system"]}}
    for kind in kinds:
        module = registry.target(kind)
        made[f"{kind}.system"] = _with(module.SYSTEM, {"kind": {"const": kind}, "hours": _HOURS}, "kind")
        made[f"{kind}.block"] = _with(module.TARGET, _BLOCK, "system")
    return made


def json_schema() -> dict[str, Any]:
    """For editors: one schema for systems.yaml and endpoint files, told apart by their first key."""
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
        "title": "Figway catalogue: systems.yaml and endpoints/*.yaml",
        **_when({"required": ["systems"]}, "systems"),
        "else": {"$ref": "#/$defs/endpoint"},
        "$defs": made,
    }


def _with(own: Schema, common: Schema, required: str) -> Schema:
    """A kind's schema with the keys that every kind has."""
    return {**own, "properties": {**common, **own["properties"]}, "required": [required, *own.get("required", ())]}


def _when(condition: Schema, name: str) -> dict[str, Any]:
    return {"if": condition, "then": {"$ref": f"#/$defs/{name}"}}
