"""A live JSON service over the bounded wire.

Records are the JSON as it stands, with numbers as int or Decimal: a binary float has already lost the amount. Duplicate keys, NaN and
anything but UTF-8 are refused. A 404 counts as "there is no such thing" only from a service that speaks JSON or says nothing: a
gateway's HTML page means that the request went astray.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from adapters.base import Adapter, Call, Events, Files, Leases, Record, Reply
from adapters.errors import AdapterError, Conflict, Misread, Missing, PreconditionFailed, Refused, matching
from adapters.events import SILENT
from adapters.http.target import Body, HttpTarget
from adapters.httpwire import Answer, Wire, refusal, unsettled
from adapters.template import Template, as_text, pick

REFUSALS: Mapping[int, type[AdapterError]] = {
    400: Refused,
    404: Missing,
    409: Conflict,
    410: Missing,
    412: PreconditionFailed,
    422: Refused,
}
JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")
MOST_DIGITS = 400  # of a number written out; a double has 308 before its point
BUILD = re.compile(r"[\x21-\x7e]{1,64}")
_ABSENT, _NO_JSON = object(), object()


def open(name: str, system: Mapping[str, Any], files: Files, leases: Leases, events: Events = SILENT) -> Adapter:
    """See base.AdapterModule."""
    return Http(name, system, events)


class Http:
    """One service. Thread-safe."""

    def __init__(self, name: str, system: Mapping[str, Any], events: Events) -> None:
        self.name = name
        self._wire = Wire(name, system["url"], system, events)
        self._build = system.get("build", "").lower()
        self._headers = {"Accept": "application/json", **_authorization(system.get("credentials", {}))}

    def call(self, call: Call) -> Reply:
        """See base.Adapter."""
        target: HttpTarget = call.target
        path, headers, body = self._request(target, call.params)
        if target.idempotency and call.key and call.effect == "write":
            headers = {**headers, target.idempotency: call.key}
        answer = self._wire.send(call, target.method, path, {**headers, **call.context}, body)
        told = _told(answer)
        self._complain(call, answer, told)
        with unsettled(call):
            rows = () if answer.status == 204 else self._rows(target, told)
        build = answer.headers.get(self._build, "")
        return Reply(rows, self.name, build=build if BUILD.fullmatch(build) else "")

    def probe(self, timeout: float) -> None:
        """A connection can be had."""
        self._wire.probe(timeout)

    def close(self) -> None:
        self._wire.close()

    def _path(self, target: HttpTarget, params: Mapping[str, Any]) -> str:
        """The request target. A value is one step of the path, whatever a server makes of encoded slashes."""
        steps = []
        for part in target.path.parts:
            if isinstance(part, str):
                steps.append(part)
                continue
            text = Template("", (part,)).render(params)
            if not text or {".", ".."} & set(re.split(r"[/\\]", text)):
                raise Refused(f"'{part[0]}' can't be a step of a path of {self.name}", backend=self.name)
            steps.append(quote(text, safe=""))
        query = {name: text for name, template in target.query.items() if (text := template.render(params)) is not None}
        return "".join(steps) + ("?" + urlencode(query, quote_via=quote) if query else "")

    def _request(self, target: HttpTarget, params: Mapping[str, Any]) -> tuple[str, Mapping[str, str], bytes | None]:
        try:
            path = self._path(target, params)
            if target.body is None:
                return path, self._headers, None
            body = json.dumps(_filled(target.body, params), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Refused(f"a value holds half a character, which can't be sent to {self.name}", backend=self.name) from None
        return path, {**self._headers, "Content-Type": "application/json"}, body

    def _complain(self, call: Call, answer: Answer, told: Any) -> None:
        """Raise when the answer is an error, by a rule or by its status."""
        if rules := call.target.errors:
            paths = {path for rule in rules for path in rule.when}
            facts = {path: as_text(value) for path in paths if (value := pick(told, path)) is not None} | {"status": str(answer.status)}
            rule = matching(rules, facts)
            if rule:
                raise rule.error(self.name)
        if answer.status in (200, 201, 204):
            return
        kind = REFUSALS.get(answer.status)
        if kind and (told is not _NO_JSON or not answer.body):
            raise kind(f"{self.name} answered with HTTP status {answer.status}", backend=self.name)
        with unsettled(call, unless=400 <= answer.status < 500):
            raise self._misread(f"status {answer.status} is not in JSON") if kind else refusal(self.name, answer)

    def _rows(self, target: HttpTarget, told: Any) -> tuple[Record, ...]:
        if told is _NO_JSON:
            raise self._misread("the answer is not strict JSON: content type, UTF-8, finite numbers, unique keys")
        for step in target.rows:
            if not isinstance(told, Mapping) or step not in told:
                raise self._misread(f"the answer has no '{'/'.join(target.rows)}'")
            told = told[step]
        rows = told if isinstance(told, list) else [told]
        if not all(isinstance(row, Mapping) for row in rows) or (target.rows and rows is not told):
            raise self._misread("the rows are not a list of objects")
        return tuple(rows)

    def _misread(self, what: str) -> Misread:
        return Misread(f"{self.name}: {what}", backend=self.name)


def _authorization(credentials: Mapping[str, str]) -> Mapping[str, str]:
    if "bearer" in credentials:
        return {"Authorization": f"Bearer {credentials['bearer']}"}
    if "basic" in credentials:
        return {"Authorization": f"Basic {b64encode(credentials['basic'].encode()).decode()}"}
    return {}


def _told(answer: Answer) -> Any:
    """The JSON of an answer, or _NO_JSON."""
    if not JSON.fullmatch(answer.media):
        return _NO_JSON
    try:
        text = answer.body.decode("utf-8")
        told = _JSON.decode(text)
        if "\\ud" in text.lower():  # half a character, perhaps, which nobody could be sent
            json.dumps(told, ensure_ascii=False, default=str).encode()
    except (ValueError, ArithmeticError, RecursionError):
        return _NO_JSON
    return told


def _finite(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        raise ValueError("not a finite number, or one that is written out in very many digits")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


_JSON = json.JSONDecoder(parse_float=_finite, parse_constant=_finite, object_pairs_hook=_unique)


def _filled(body: Body | Any, params: Mapping[str, Any]) -> Any:
    """The body with its templates filled; entries whose parameter is absent are left out."""
    match body:
        case Template():
            value = body.value(params)
            return _ABSENT if value is None else _filled(value, params) if not isinstance(value, str) else value
        case Mapping():
            return {name: value for name, inner in body.items() if (value := _filled(inner, params)) is not _ABSENT}
        case list() | tuple():
            return [value for inner in body if (value := _filled(inner, params)) is not _ABSENT]
        case str() | bool() | int() | None:
            return body
    return as_text(body)  # decimals and dates
