"""The catalogue blocks of kind `http`: one request to a JSON service, and where its rows are.

    {system: accounts-api, path: "/customers/{customer_id}/accounts"}
    {system: accounts-api, method: POST, path: /payments, body: {debtor: "{debtor}", amount: "{amount}"}, rows: data/payments,
     idempotency: Idempotency-Key, query: {dry_run: "{dry_run}"}, errors: {frozen: {when: {status: "409", code: FROZEN}, status: 422}}}

Values in a path are percent-encoded. An absent parameter leaves its query or body entry out; in a path it is refused. In a body
decimals and dates go as strings. Without `rows` an object is one record and a list is all of them. `errors` rules look at `status`
and at paths of the answer's JSON. `idempotency` names the header in which a write's key goes, for a service that does the same key once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapters import errors, template
from adapters.base import BadTarget, Fault, Files
from adapters.blocks import strict
from adapters.errors import ErrorRule
from adapters.httpwire import SYSTEM_KEYS
from adapters.httpwire import calls as calls
from adapters.template import Template

_HEADER = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9-]{0,63}$"}
_CREDENTIALS = strict("", bearer={"type": "string"}, basic={"type": "string", "description": "user:password"})
SYSTEM: Mapping[str, Any] = strict(
    "url",
    url={"type": "string", "description": "https://host:port/base, without query"},
    credentials={**_CREDENTIALS, "minProperties": 1, "maxProperties": 1},
    build={**_HEADER, "description": "the header of its answers that names the build"},
    **SYSTEM_KEYS,
)
TARGET: Mapping[str, Any] = strict(
    "path",
    path={"type": "string", "pattern": "^/"},
    method={"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
    query={"type": "object", "additionalProperties": {"type": "string"}},
    body={"type": "object"},
    rows={"type": "string", "minLength": 1},
    idempotency={**_HEADER, "description": "the header for the key of a write, of which the service does one of a key"},
)
Body = Template | Mapping[str, Any] | list[Any] | int | bool | None
"""A body as a tree with templates for its texts."""


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A compiled block. `rows` is a path of keys, empty when the whole JSON is the rows; `body` None sends none; `idempotency` is a
    header's name, or ''."""

    method: str
    path: Template
    query: Mapping[str, Template]
    body: Body
    rows: tuple[str, ...]
    errors: tuple[ErrorRule, ...]
    idempotency: str

    @property
    def uses(self) -> frozenset[str]:
        return frozenset[str]().union(*(t.uses for t in (self.path, *self.query.values(), *_templates(self.body))))

    @property
    def gives(self) -> frozenset[str] | None:
        return None


def compile(block: Mapping[str, Any], system: Mapping[str, Any], files: Files) -> HttpTarget:
    """See base.TargetModule."""
    faults: list[Fault] = []
    method, body = block.get("method", "GET"), block.get("body")
    target = HttpTarget(
        method,
        _parse(block["path"], ("path",), faults),
        {name: _parse(text, ("query", name), faults) for name, text in block.get("query", {}).items()},
        _tree(body, ("body",), faults),
        tuple(block["rows"].split("/")) if "rows" in block else (),
        errors.rules(block),
        block.get("idempotency", ""),
    )
    literals = "".join(part if isinstance(part, str) else "x" for part in target.path.parts)
    if not re.fullmatch(r"[A-Za-z0-9/._~%!$&'()*+,;=:@-]+", literals) or {".", ".."} & set(literals.split("/")):
        faults.append(Fault(("path",), "a path is made of encoded characters, without '.' or '..' steps; a query goes under `query`"))
    if method == "GET" and body is not None:
        faults.append(Fault(("body",), "a GET carries no body: say `method`, or use `query`"))
    if method == "GET" and target.idempotency:
        faults.append(Fault(("idempotency",), "a GET changes nothing and needs no key"))
    if faults:
        raise BadTarget(faults)
    return target


def _parse(text: str, where: tuple[str | int, ...], faults: list[Fault]) -> Template:
    try:
        return template.parse(text)
    except ValueError as error:
        faults.append(Fault(where, str(error)))
        return Template("", ())


def _tree(value: Any, where: tuple[str | int, ...], faults: list[Fault]) -> Body:
    match value:
        case str():
            return _parse(value, where, faults)
        case Mapping():
            return {name: _tree(inner, (*where, name), faults) for name, inner in value.items()}
        case list():
            return [_tree(inner, (*where, n), faults) for n, inner in enumerate(value)]
    return value  # type: ignore[no-any-return]  # a number, a boolean or null


def _templates(body: Body) -> Iterator[Template]:
    match body:
        case Template():
            yield body
        case Mapping() | list():
            for inner in body.values() if isinstance(body, Mapping) else body:
                yield from _templates(inner)
