"""What a catalogue file says, as data: one Operation per endpoint file. No behaviour, no I/O.

The loader (`catalogue.py`) makes these; everything else only reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from adapters.base import Target
from adapters.errors import ErrorRule

Effect = Literal["read", "idempotent", "write"]
FieldType = Literal["string", "integer", "decimal", "date", "datetime", "boolean", "list", "object"]
Where = Literal["path", "query", "header", "body"]
Side = Literal["legacy", "modern"]
SIDES: tuple[Side, ...] = ("legacy", "modern")
Stage = Literal["legacy", "shadow", "canary", "modern", "retired"]
WritePolicy = Literal["legacy_only", "dual", "modern_only"]
STAGES: tuple[Stage, ...] = ("legacy", "shadow", "canary", "modern", "retired")
POLICIES: tuple[WritePolicy, ...] = ("legacy_only", "dual", "modern_only")
PARTS = 10_000
"""Of a share of keys: it is told to a hundredth of a percent."""
Span = tuple[datetime, datetime]
"""From, to (not included); both with a time zone."""


def other(side: Side) -> Side:
    return "modern" if side == "legacy" else "legacy"


@dataclass(frozen=True, slots=True)
class Field:
    """One named value of a request or a response.

    Decimals carry `scale` digits after the point (from `currency`, or `scale`); a `list` or `object` has its fields in `of`.
    """

    name: str
    type: FieldType
    optional: bool = False
    key: bool = False
    currency: str | None = None
    scale: int | None = None
    one_of: tuple[str, ...] = ()
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    most: int | None = None  # a list's longest length
    pii: str | None = None
    mask: str | None = None
    shown_to: tuple[str, ...] = ("pii:read",)  # scopes: who has one of them sees what has a mask as it is
    summary: str = ""
    source: str | None = None  # a join's response: an expression over its parts, `sum(accounts.balance)`
    of: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Param:
    """A request value and where the caller puts it."""

    where: Where
    field: Field


@dataclass(frozen=True, slots=True)
class ReadRule:
    """How one canonical value is made from a raw record: take `raw` (a path, `Result/Ref`; default: the field's name), turn sentinels
    to None, map codes by `values`, convert by `convert` (the YAML key is `from`)."""

    raw: str
    convert: str | None = None
    values: Mapping[str, str] | None = None
    none_when: tuple[str, ...] = ()
    window: int | None = None
    of: Mapping[str, ReadRule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """The read that tells whether a write has happened: `params` fill its parameters, `shows` says what its fields show once it has. Both
    are templates over the write's own parameters."""

    operation: str
    params: Mapping[str, str]
    shows: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """One side of an operation. `target` is the adapter kind's own compiled form of the block."""

    system: str
    kind: str
    target: Target
    read: Mapping[str, ReadRule]
    errors: tuple[ErrorRule, ...] = ()
    repeat: Literal["allowed", "never"] = "allowed"
    deferred: bool = False  # a file drop: 202 and a job
    expect_within: float = 0.0  # seconds until a deferred answer is overdue
    ask: Ask | None = None  # of a write whose outcome may be unknown
    transform_records: str | None = None  # names of functions: raw records before they are read,
    transform_params: str | None = None  # and parameters before the block is filled


@dataclass(frozen=True, slots=True)
class Part:
    """A joined operation: `params` are templates over the join's own parameters and over earlier parts (`{customer.national_id}`)."""

    name: str
    operation: str
    params: Mapping[str, str]
    required: bool = True


@dataclass(frozen=True, slots=True)
class ObjectRule:
    """Which values a caller may give for a parameter that names a subject: those of its `claim`, those that the function `may` allows
    (`py:package.module.function`), or with a `reason` any. Exactly one is said."""

    claim: str = ""
    may: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Auth:
    """`scope` None is `auth: any` with its `reason`. `object` says about whom a caller may ask, by the parameter that names them."""

    scope: str | None
    reason: str = ""
    purposes: tuple[str, ...] = ()
    object: Mapping[str, ObjectRule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quality:
    """Gate over an answer's rows: share of rejected rows allowed (0..1) and fields that must not be None."""

    rejected_at_most: float = 0.0
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scoring:
    """`features`: model feature -> expression over the answer (`balance`) or the parts (`sum(accounts.balance)`). `decides`: outcomes with
    the score from which on each holds, from the lowest; empty where the score decides nothing about anybody."""

    model: str
    version: str
    features: Mapping[str, str]
    on_missing: Literal["as_trained", "refuse"] = "as_trained"
    per_row: bool = False
    decides: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Caching:
    """For how many seconds an answer is kept, and for how many more it may be served, as stale, while the back end is down."""

    ttl: float
    stale_if_down: float = 0.0
    score_stale: bool = False


@dataclass(frozen=True, slots=True)
class Gates:
    """What must be shown before an endpoint is promoted past shadow. `limit` is the share of keys (0 to 1) that may differ, so
    1 - parity_at_least; `period` is in seconds; None asks for nothing.

    `must_have_seen`: what compared answers must have held, as texts: a response field's values, `status` ("404"), `pages` ("2").
    """

    limit: float
    confidence: float
    period: float
    unseen: float = 0.05
    must_have_seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    errors: float | None = None
    p95_ratio: float | None = None
    score_drift: float | None = None
    score_flips: float | None = None


@dataclass(frozen=True, slots=True)
class RollBack:
    """When an endpoint goes back to shadow by itself: over the last `within` seconds, with at least `min_count` of what is counted, more
    than `errors` (share of modern's answers to callers) are errors, or less than `parity` (share of comparisons) are equal."""

    within: float
    min_count: int
    errors: float | None = None
    parity: float | None = None


@dataclass(frozen=True, slots=True)
class Migration:
    """How far an endpoint may go and on what terms; where it stands now is run-time state (wrapper/migration/decide.py).

    `key` is the parameter by which traffic sticks to a side, `compare` the raw block (migration.rules.rules reads it). Of requests that
    legacy answers `sample` are compared, of those that modern answers `sample_modern`; of legacy's answers `self_sample` are asked
    twice, for the noise floor. `decision` is the score from which on a customer is treated otherwise. `steps` are the shares of a canary.
    """

    highest: Stage = "legacy"
    key: str = ""
    writes: WritePolicy = "legacy_only"
    compare: Mapping[str, Any] = field(default_factory=dict)
    sample: float = 1.0
    sample_modern: float = 0.05
    self_sample: float = 0.01
    decision: float = 0.5
    gates: Gates | None = None
    roll_back: RollBack | None = None
    automatic: bool = False
    steps: tuple[Decimal, ...] = (Decimal("0.01"), Decimal("0.1"), Decimal("0.5"))
    freezes: tuple[Span, ...] = ()
    deprecated: date | None = None
    sunset: date | None = None
    successor: str | None = None
    brown_outs: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A request with what its answer must be; `expect` has status, and may have count, data (a subset), score."""

    request: Mapping[str, Any]
    expect: Mapping[str, Any]
    line: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint. A join has `parts` and neither `legacy` nor `modern`. `hash` is of the file's content and all that it refers to;
    `invalidates` names the cached reads whose answers it changes."""

    name: str
    summary: str
    owner: str
    group: str
    method: str
    path: str
    auth: Auth
    effect: Effect
    params: tuple[Param, ...]
    shape: Literal["items", "object"]
    fields: tuple[Field, ...]
    legacy: Source | None
    modern: Source | None
    parts: tuple[Part, ...]
    deadline: float
    quality: Quality
    scoring: Scoring | None
    limits: Mapping[str, Any]
    examples: tuple[Example, ...]
    file: str
    hash: str
    cache: Caching | None = None
    invalidates: tuple[str, ...] = ()
    migration: Migration | None = None

    def source(self, side: Side) -> Source | None:
        return self.legacy if side == "legacy" else self.modern


@dataclass(frozen=True, slots=True)
class System:
    """A block of systems.yaml: references (`env:NAME`, `file:PATH`) are unresolved here. `lines` are of the paths in the block."""

    name: str
    kind: str
    block: Mapping[str, Any]
    line: int
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All of it: what the facade serves. `access` is the block of access.yaml with its references unresolved (wrapper/access.py)."""

    systems: Mapping[str, System]
    operations: Mapping[str, Operation]
    hash: str
    access: Mapping[str, Any] = field(default_factory=dict, repr=False)
