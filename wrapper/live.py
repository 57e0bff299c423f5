"""`figway check --live`: the `examples:` of every endpoint, asked of the real back ends and compared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.errors import AdapterError
from wrapper.operation import Catalogue, Example, Operation
from wrapper.policy.keys import ANY, Caller
from wrapper.policy.mask import masked
from wrapper.problems import RequestError, problem
from wrapper.request import Answer, Request
from wrapper.service import Service
from wrapper.traffic import TESTER
from wrapper.writes import job_id

TOLERANCE = 1e-6  # of a score


@dataclass(frozen=True, slots=True)
class Outcome:
    """One example's result; `wrong` is empty when the back end answered as the file says."""

    operation: str
    file: str
    line: int
    elapsed: float
    wrong: str = ""
    skipped: bool = False


def operator(catalogue: Catalogue) -> Caller:
    """The person at the console: may do whatever the catalogue offers."""
    shown = {scope for op in catalogue.operations.values() for field in masked(op.fields) for scope in field.shown_to}
    scopes = {op.auth.scope for op in catalogue.operations.values() if op.auth.scope} | shown | {"pii:read", TESTER}
    purposes = {p for op in catalogue.operations.values() for p in op.auth.purposes}
    claims = {rule.claim for op in catalogue.operations.values() for rule in op.auth.object.values() if rule.claim}
    return Caller("operator", frozenset(scopes), frozenset(purposes), {claim: frozenset({ANY}) for claim in claims})


def ask(service: Service, operation: Operation, values: Mapping[str, Any], who: str = "operator", **request: Any) -> Answer:
    """One call without HTTP by `who`, whom no API key can pass for; an error comes back as its problem."""
    caller = replace(operator(service.catalogue), name=f"cli:{who}", via="cli")
    purpose = operation.auth.purposes[0] if operation.auth.purposes else None
    key = job_id() if operation.effect == "write" else None
    try:
        asked = Request(caller, service.place(operation, values), "figway-cli", purpose=purpose, idempotency_key=key, **request)
        return service.serve(operation, asked)
    except (AdapterError, RequestError) as error:
        shown = problem(error, "figway-cli")
        return Answer(shown.status, shown.body, shown.headers)


def run(service: Service, writes: bool = False, who: str = "operator") -> Iterator[Outcome]:
    """Every example of every endpoint; those that write only when asked to."""
    for operation in service.catalogue.operations.values():
        for example in operation.examples:
            began = time.monotonic()
            skipped = operation.effect != "read" and not writes
            wrong = "" if skipped else differs(example, ask(service, operation, example.request, who))
            yield Outcome(operation.name, operation.file, example.line, time.monotonic() - began, wrong, skipped)


def differs(example: Example, answer: Answer) -> str:
    """What differs: status, count, data as a subset, the score. Values met are not shown: they may be a customer's."""
    expect = example.expect
    if answer.status != expect["status"]:
        reasons = "; ".join(str(error.get("reason", "")) for error in answer.body.get("errors", ())[:3])
        return f"expected status {expect['status']}, met {answer.status}: {answer.body.get('detail', '')}{reasons and f' ({reasons})'}"
    data = answer.body.get("data")
    if "count" in expect and (not isinstance(data, list) or len(data) != expect["count"]):
        return f"expected {expect['count']} items, met {len(data) if isinstance(data, list) else 'no list'}"
    unlike = list(_unlike(expect["data"], data, "data")) if "data" in expect else []
    if "score" in expect and not _near(expect["score"], answer.body.get("score")):
        unlike.append("score")
    return f"not as expected: {', '.join(unlike)}" if unlike else ""


def _near(wanted: Any, score: Any) -> bool:
    return isinstance(score, Mapping) and abs(float(wanted) - score["value"]) <= TOLERANCE


def _unlike(wanted: Any, met: Any, path: str) -> Iterator[str]:
    match wanted:
        case Mapping():
            for name, value in wanted.items():
                yield from _unlike(value, met.get(name) if isinstance(met, Mapping) else None, f"{path}.{name}")
        case list():
            for n, value in enumerate(wanted):
                yield from _unlike(value, met[n] if isinstance(met, list) and n < len(met) else None, f"{path}[{n}]")
        case _ if str(wanted) != str(met):
            yield path
