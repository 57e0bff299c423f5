"""The shape of the `migration` block: how far an endpoint may go from legacy to modern, and on what terms."""

from __future__ import annotations

from adapters.blocks import strict
from wrapper.catalogue.schema_parts import DAY, SPAN, WORD, duration, listed, percent, said, text, whole
from wrapper.operation import POLICIES, STAGES

_PLAIN = ["string", "integer", "boolean"]
_SEEN = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {**listed({"type": _PLAIN}), "type": [*_PLAIN, "array"]},
    "properties": {"status": listed(whole(200, 599)), "pages": whole(2, 10_000, "an answer of so many or more")},
    "description": "what compared answers must have held: values of a field of the response, `status`, `pages`",
}
_APART = {"type": "object", "minProperties": 1, "additionalProperties": {**duration(), "type": ["number", "string"], "minimum": 0}}
_COMPARE = strict(
    "",
    ignore=listed(WORD, "not compared, with all that is below: items.opened"),
    decimal={"type": "number", "minimum": 0, "description": "how far apart decimals may be"},
    order_by=text("the field by which rows are matched; else the keys of the response"),
    tolerance=said(_APART, "the same for one path: a number, or a duration for dates and times"),
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
MIGRATION = strict(
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
