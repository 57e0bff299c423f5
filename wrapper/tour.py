"""The demo's tour: calls over real HTTP, each shown with its answer and where that came from, each held against what is expected.

The calls are data. `expect` maps a path into the answer (`data.0.balance`, `data.#` for a length, `headers.location`) to its value, or to
`...` for anything but nothing. `keep` names a value of one answer that later calls use as `{name}`.
"""

from __future__ import annotations

import http.client
import json
import shutil
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import click

from wrapper.policy.keys import Caller

CUSTOMER = "0000012345"
_SPARSE = "0000010030"  # nothing is known of income, assets, debt, job and home
_SCOPES = "customers:read customers:write accounts:read credit:read ledger:read applications:read payments:write risk:read"
_ANYBODY = {"customer": frozenset({"*"})}
CALLERS = (
    Caller("lender", frozenset(_SCOPES.split()), frozenset({"credit-risk"}), _ANYBODY),
    Caller("branch", frozenset({"ledger:read"}), frozenset({"servicing"}), _ANYBODY),
    Caller("customer", frozenset({"customers:read"}), frozenset({"servicing"}), {"customer": frozenset({CUSTOMER})}),
)
WIDTH = max(60, min(100, shutil.get_terminal_size((100, 24)).columns))
ROWS = 3  # of a list, the rows that are shown
CALL_SECONDS = 15.0
TOLERANCE = 1e-6
DOORS = {"corebank": "3270", "bureau": "SOAP", "ledger": "ODBC", "drop": "SFTP"}


@dataclass(frozen=True, slots=True)
class Step:
    """One call. `patience` is for how many seconds it is asked again until it is as expected."""

    title: str
    request: str  # METHOD path
    status: int
    expect: Mapping[str, Any] = field(default_factory=dict)
    caller: str = "lender"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    keep: Mapping[str, str] = field(default_factory=dict)
    patience: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What came back; `facts` is the body with the headers (lower case) beside it."""

    status: int
    facts: Mapping[str, Any]
    elapsed: float


_BATCH = {"payments": [
    {"debtor": "000123450001", "creditor": "000100010001", "amount": "25.50", "due": "2030-01-31"},
    {"debtor": "999999990001", "creditor": "000100010001", "amount": "7.00", "due": "2030-01-31"},
]}  # fmt: skip
_ONE = {"payments": [{"debtor": "000123450002", "creditor": "000100010001", "amount": "1250.00", "due": "2030-02-28"}]}
_MOVER = "0000010007"
_HOME = {"line1": "1 LONG ACRE", "town": "BATH", "postcode": "BA1 1AA"}
_OLD = {"line1": "2 SHORT ACRE", "town": "BATH", "postcode": "BA1 1AA", "old_line1": "SOMEWHERE ELSE"}

STEPS = (
    Step("A customer: typed into a mainframe's screen, read off the next one; names are masked", f"GET /v1/customers/{CUSTOMER}", 200,
         {"data.name": "C. A.", "data.assets": "4000.00", "data.since": "1986-04-17"}),
    Step("31 accounts: three screens, paged with PF8, as one list; account numbers are masked",
         f"GET /v1/customers/{CUSTOMER}/accounts", 200,
         {"data.#": 31, "data.0.account": "********0001", "data.0.balance": "110.50", "data.0.kind": "savings"}),
    Step("The credit bureau, behind SOAP", "GET /v1/credit/AJ102344D", 200,
         {"data.reference": "CR98842645", "data.grade": "A", "data.limit": "12286.76"}),
    Step("Income and expenses: a row of a database, behind ODBC", f"GET /v1/customers/{CUSTOMER}/income", 200,
         {"data.income": "115.00", "data.expenses": "45.00"}),
    Step("120 movements, fetched from the database page by page", f"GET /v1/customers/{CUSTOMER}/entries", 200,
         {"data.#": 120, "data.0.amount": ...}, caller="branch"),
    Step("A credit application, looked up in last night's EBCDIC master extract, over SFTP",
         f"GET /v1/customers/{CUSTOMER}/application", 200, {"data.seniority": 17, "data.amount": "700.00", "data.price": "1631.00"}),
    Step("All four doors at once, side by side, and the score of a model that runs inside Figway",
         f"GET /v1/customers/{CUSTOMER}/risk", 200,
         {"data.grade": "A", "data.assets": "4000.00", "meta.sources.#": 4, "score.model": "default-risk", "score.value": 0.0185729}),
    Step("Somebody of whom little is known: no zeros are made up, the score says what is missing",
         f"GET /v1/customers/{_SPARSE}/risk", 200, {"data.income": None, "score.missing.#": 5, "score.value": 0.9465643}),
    Step("Two payments: an EBCDIC file dropped over SFTP; we wait up to 5 s for the batch's reply file",
         "POST /v1/payments", 200, {"meta.job.state": "replied", "data.0.status": "accepted", "data.1.reason": "no such account"},
         headers={"Idempotency-Key": "tour-1", "Prefer": "wait=5"}, body=_BATCH, keep={"first": "meta.job.id"}),
    Step("The same request again, as after a lost answer: the first answer, and no money moves twice",
         "POST /v1/payments", 200, {"headers.idempotency-replayed": "true", "meta.job.id": "{first}"},
         headers={"Idempotency-Key": "tour-1", "Prefer": "wait=5"}, body=_BATCH),
    Step("Another payment, without waiting: taken, with a job to ask about", "POST /v1/payments", 202,
         {"headers.location": ..., "meta.job.state": ...}, headers={"Idempotency-Key": "tour-2"}, body=_ONE,
         keep={"job": "meta.job.id"}),
    Step("That job, asked until the batch has replied", "GET /jobs/{job}", 200, {"meta.job.state": "replied"}, patience=10),
    Step("A change of address: two screens, and PF5 commits it on the mainframe", f"PUT /v1/customers/{_MOVER}/address", 200,
         {"data.line1": "1 LONG ACRE"}, headers={"Idempotency-Key": "tour-3"}, body=_HOME),
    Step("A change by somebody who believes in another old address: refused, nothing changes", f"PUT /v1/customers/{_MOVER}/address",
         412, {"backend": "corebank"}, headers={"Idempotency-Key": "tour-4"}, body=_OLD),
    Step("A write without an Idempotency-Key: refused before anything is sent", f"PUT /v1/customers/{_MOVER}/address", 400,
         {"title": ...}, body=_HOME),
    Step("And the mainframe shows the new address", f"GET /v1/customers/{_MOVER}", 200, {"data.line1": "1 LONG ACRE"}),
    Step("Nobody has this number: the mainframe's message becomes a 404", "GET /v1/customers/9999999999", 404, {"backend": "corebank"}),
    Step("A customer number of the wrong shape: a 422 that names the field", "GET /v1/customers/12AB", 422,
         {"errors.0.name": "customer_id"}),
    Step("A key that nobody gave out", f"GET /v1/customers/{CUSTOMER}", 401, {"title": ...}, caller="fw_000000000000_not-a-key"),
    Step("A key that is good for one customer, asking for another", f"GET /v1/customers/{_MOVER}", 403, {"title": ...}, caller="customer"),
)  # fmt: skip


def take(address: tuple[str, int], made: Mapping[str, str]) -> Iterator[bool]:
    """Each step against the facade at `address` with the callers' keys: shown, and whether it was as expected."""
    kept: dict[str, str] = {}
    for number, step in enumerate(STEPS, 1):
        filled = replace(step, request=_filled(step.request, kept), expect={path: _filled(v, kept) for path, v in step.expect.items()})
        click.echo("\n".join(_question(number, filled)))
        seen, wrong = _asked(address, filled, made.get(step.caller, step.caller))
        click.echo("\n".join(_answer(seen, wrong)) + "\n")
        kept |= {name: str(_at(seen.facts, path)) for name, path in step.keep.items()}
        yield not wrong


def summary(right: int, total: int) -> str:
    """The tour's last line."""
    return f"tour: {right} of {total} as expected"


def _filled(value: Any, kept: Mapping[str, str]) -> Any:
    return value.format_map(kept) if isinstance(value, str) else value


def _asked(address: tuple[str, int], step: Step, key: str) -> tuple[Seen, str]:
    """The last answer, and what is wrong with it: nothing is ''."""
    until = time.monotonic() + step.patience
    while True:
        seen = _ask(address, step, key)
        wrong = _wrong(step, seen)
        if not wrong or time.monotonic() > until:
            return seen, wrong
        time.sleep(0.25)


def _ask(address: tuple[str, int], step: Step, key: str) -> Seen:
    """One real HTTP exchange; a facade that does not answer is an answer of status 0."""
    method, path = step.request.split()
    body = None if step.body is None else json.dumps(step.body)
    sent = {"Authorization": f"Bearer {key}", **({"Content-Type": "application/json"} if body else {}), **step.headers}
    began = time.monotonic()
    connection = http.client.HTTPConnection(*address, timeout=CALL_SECONDS)
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        facts = json.loads(answer.read())
        status, headers = answer.status, {name.lower(): value for name, value in answer.getheaders()}
    except (OSError, http.client.HTTPException, ValueError) as error:
        status, facts, headers = 0, {"title": f"no answer: {type(error).__name__}"}, {}
    finally:
        connection.close()
    return Seen(status, {**facts, "headers": headers}, time.monotonic() - began)


def _wrong(step: Step, seen: Seen) -> str:
    """What is not as expected, in words."""
    if seen.status != step.status:
        return f"expected status {step.status}, met {seen.status}"
    for path, wanted in step.expect.items():
        met = _at(seen.facts, path)
        same = isinstance(met, float) and abs(met - wanted) < TOLERANCE if isinstance(wanted, float) else met == wanted
        if met is None if wanted is ... else not same:
            return f"expected {path} to be {'there' if wanted is ... else repr(wanted)}, met {met!r}"
    return ""


def _at(facts: Any, path: str) -> Any:
    """The value at a dotted path, None when there is none."""
    for name in path.split("."):
        match facts:
            case list():
                facts = len(facts) if name == "#" else facts[int(name)] if int(name) < len(facts) else None
            case dict():
                facts = facts.get(name)
            case _:
                return None
    return facts


def _question(number: int, step: Step) -> Iterator[str]:
    """The headline and the request as it goes out, less the key."""
    lines = textwrap.wrap(step.title, WIDTH - 4)
    yield click.style(f"{number:2}. {lines[0]}", bold=True)
    yield from (click.style(f"    {line}", bold=True) for line in lines[1:])
    said = "".join(f"  {name}: {value}" for name, value in step.headers.items())
    yield click.style(f"    {step.request}", fg="cyan") + click.style(said, dim=True)
    if step.body is not None:
        yield from _pretty(step.body, 4)


def _answer(seen: Seen, wrong: str) -> Iterator[str]:
    """Status, time, where it came from, and the answer cut to what a person reads."""
    status = f"{seen.status} {HTTPStatus(seen.status).phrase}" if seen.status else "no answer"
    colour = "green" if 200 <= seen.status < 300 else "yellow"
    plain = f"{status}, {_span(seen.elapsed)}, {_origin(seen.facts)}"
    first, *more = textwrap.wrap(plain, WIDTH, initial_indent="    ", subsequent_indent="      ")
    yield first.replace(status, click.style(status, fg=colour), 1)
    yield from more
    for name, value in _short(seen.facts).items():
        yield from _pretty(value, 4, f"{name}: ")
    if wrong:
        yield click.style(f"    NOT AS EXPECTED: {wrong}", fg="red", bold=True)


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _origin(facts: Mapping[str, Any]) -> str:
    """Where an answer says that it came from."""
    if _at(facts, "headers.idempotency-replayed"):
        return "kept by Figway from the first time: nothing was asked again"
    sources = _at(facts, "meta.sources") or ([{"system": facts["backend"]}] if "backend" in facts else [])
    if sources:
        return "from " + ", ".join(_door(**source) for source in sources)
    return "from Figway, which takes it from here" if _at(facts, "meta.job") else "from Figway itself: no back end was asked"


def _door(system: str, as_of: str = "", **_: object) -> str:
    return f"{system} ({DOORS.get(system, 'unknown')}{' of ' if as_of else ''}{as_of})"


def _short(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Data, score and job, or a problem's own words; of a long list the first rows."""
    names = ("data", "score") if "data" in facts else ("title", "detail", "errors")
    shown = {name: facts[name] for name in names if facts.get(name) is not None}
    data = shown.get("data")
    if isinstance(data, list) and len(data) > ROWS:
        shown["data"] = [*data[:ROWS], f"... and {len(data) - ROWS} more"]
    job = _at(facts, "meta.job")
    return {**shown, **({"job": {name: job[name] for name in ("id", "state")}} if job else {})}


def _pretty(value: Any, indent: int, lead: str = "", tail: str = "") -> list[str]:
    """JSON in lines of at most WIDTH: what fits on one, else members side by side under the bracket, containers on lines of their own."""
    whole = lead + json.dumps(value, ensure_ascii=False) + tail
    if len(whole) + indent <= WIDTH or not value or not isinstance(value, (dict, list)):
        return textwrap.wrap(whole, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + len(lead)))
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    members = [(f'"{name}": ', member) for name, member in value.items()] if isinstance(value, dict) else [("", member) for member in value]
    lines = [" " * indent + lead + opening]
    rows = isinstance(value, list)
    for n, (name, member) in enumerate(members, 1):
        under = _pretty(member, indent + 1 + (0 if rows else len(lead)), name, "," if n < len(members) else closing + tail)
        beside = lines[-1] + " " * (n > 1) + under[0].lstrip()
        if rows or (n > 1 and (len(beside) > WIDTH or isinstance(member, (dict, list)))):
            lines += under
        else:
            lines[-1:] = [beside, *under[1:]]
    return lines
