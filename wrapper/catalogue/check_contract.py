"""What one endpoint file promises its callers: does it hold together?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import re2

from adapters import registry
from adapters.blocks import instead, seconds
from wrapper.admission import GRACEFUL
from wrapper.catalogue.build import CURRENCIES, Endpoint
from wrapper.catalogue.estate import Estate, Told, response, walk
from wrapper.catalogue.found import Path

OURS = (".well-known", "decisions", "docs", "health", "jobs", "migration", "oauth", "openapi.json", "subjects", "tokens")
_FITS = {
    "pattern": ("string",), "min_length": ("string",), "max_length": ("string",), "one_of": ("string",),
    "currency": ("decimal",), "scale": ("decimal",), "minimum": ("integer", "decimal"), "maximum": ("integer", "decimal"),
    "most": ("list",), "of": ("list", "object"),
}  # fmt: skip
_QUIET = re2.Options()
_QUIET.log_errors = False


def fields(endpoint: Endpoint, _: Estate) -> Told:
    """Each field's limits fit its type and each other."""
    for path, name, raw in [*walk(endpoint.raw.get("request", {}), ("request",)), *walk(*response(endpoint))]:
        yield from _fits(path, name, raw)
        yield from _money(path, name, raw)
        if "pattern" in raw:
            yield from _pattern(path, raw["pattern"])
        for low, high in (("minimum", "maximum"), ("min_length", "max_length")):
            if low in raw and high in raw and raw[low] > raw[high]:
                yield (*path, low), f"{low} {raw[low]} is more than {high} {raw[high]}: nothing fits"
        if raw.get("key") and (raw.get("optional") or path[:2] != ("response", "items")):
            yield (*path, "key"), "a key belongs to a field of response.items that is never missing"


def _fits(path: Path, name: str, raw: Mapping[str, Any]) -> Told:
    for key, types in _FITS.items():
        if key in raw and raw["type"] not in types:
            yield (*path, key), f"'{key}' is for {' and '.join(types)}; '{name}' is {raw['type']}"
    if raw["type"] in _FITS["of"] and "of" not in raw:
        yield path, f"'{name}' is a {raw['type']}: say under `of` what is in it"


def _money(path: Path, name: str, raw: Mapping[str, Any]) -> Told:
    if raw["type"] == "decimal" and "currency" not in raw and "scale" not in raw:
        yield path, f"'{name}' is a decimal: state its currency, or its scale (digits after the point)"
    if "currency" in raw and "scale" not in raw and raw["currency"] not in CURRENCIES:
        yield (*path, "currency"), f"'{raw['currency']}' is not a known currency{instead(raw['currency'], CURRENCIES)}; or state the scale"


def _pattern(path: Path, pattern: str) -> Told:
    """RE2 takes only what it can match in linear time, so what it refuses is refused."""
    try:
        re2.compile(pattern, options=_QUIET)
    except re2.error as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        slow = re.search(r"\(\?(=|!|<=|<!|>)|\\[1-9]|[*+?}]\+", pattern)
        reason = "look-arounds, back-references and possessive repeats are not linear-time" if slow else why
        yield (*path, "pattern"), f"the pattern {pattern} is refused: {reason}"
    else:
        if not pattern.isascii():
            yield (*path, "pattern"), f"the pattern {pattern} must be ASCII; write other characters as \\x{{20AC}} or \\p{{L}}"


def route(endpoint: Endpoint, _: Estate) -> Told:
    """The route's parameters are the declared ones, and its path is ours to give."""
    steps = endpoint.operation.path.split("/")[1:]
    holes = [step[1:-1] for step in steps if step.startswith("{")]
    params = endpoint.raw.get("request", {})
    for name in holes:
        if params.get(name, {}).get("in") != "path":
            yield ("route",), f"the route's parameter '{name}' is not declared under request with `in: path`{_meant(name, params)}"
        if holes.count(name) > 1:
            yield ("route",), f"the route has the parameter '{name}' twice"
    for name, raw in params.items():
        if raw["in"] == "path" and name not in holes:
            yield ("request", name, "in"), f"'{name}' is a path parameter that the route does not have{instead(name, holes)}"
        if raw["in"] == "path" and raw.get("optional"):
            yield ("request", name, "optional"), f"'{name}' is in the path: it can't be optional"
        if raw["in"] != "body" and raw["type"] in ("list", "object"):
            yield ("request", name, "type"), f"a {raw['type']} can only be in the body; '{name}' is in the {raw['in']}"
    if steps[0] in OURS or "." in steps or ".." in steps:
        yield ("route",), f"the path {endpoint.operation.path} is Figway's own, or has a `.` step; begin with a version, like /v1"


def _meant(name: str, params: Mapping[str, Any]) -> str:
    return instead(name, [n for n, raw in params.items() if raw["in"] == "path"])


def verb(endpoint: Endpoint, _: Estate) -> Told:
    """The HTTP verb promises what the effect keeps."""
    method, effect = endpoint.operation.method, endpoint.operation.effect
    if method == "GET" and effect != "read":
        yield ("effect",), f"a GET must be `effect: read`, met '{effect}': caches and browsers repeat it at will"
    if effect == "read" and method not in ("GET", "POST"):
        yield ("effect",), f"a read is a GET, or a POST when it takes a body; the route says {method}"
    if method == "GET":
        for name, param in endpoint.params.items():
            if param.where == "body":
                yield ("request", name, "in"), f"a GET has no body: put '{name}' in the query, or make the route a POST"


def auth(endpoint: Endpoint, _: Estate) -> Told:
    """Who may call is said exactly once."""
    raw = endpoint.raw["auth"]
    if ("scope" in raw) == ("any" in raw):
        yield (
            ("auth",),
            "auth needs a scope (`scope: accounts:read`) or a reason to be open to every key (`any: public rates`), and not both",
        )


def limits(endpoint: Endpoint, estate: Estate) -> Told:
    """Deadline, protection of the back end, cache."""
    raw = endpoint.raw["limits"]
    if endpoint.operation.deadline > GRACEFUL:
        too_long = f"a deadline of {raw['deadline']} is longer than a stopping worker waits ({GRACEFUL:.0f}s): a restart would cut calls"
        yield ("limits", "deadline"), too_long
    yield from _protection(endpoint, estate)
    cache = raw.get("cache", {})
    if cache and endpoint.operation.effect != "read":
        yield ("limits", "cache"), f"only a read may be cached; this is `effect: {endpoint.operation.effect}`"
    if cache and "parts" in endpoint.raw:
        yield ("limits", "cache"), "a join is not cached itself: say `cache` in the endpoints that it joins"
    if "key" in cache:
        for name in cache["key"]:
            if name not in endpoint.params:
                yield ("limits", "cache", "key"), f"the cache's key has '{name}', which is not a parameter{instead(name, endpoint.params)}"
        left_out = [name for name in endpoint.params if name not in cache["key"]]
        if left_out:
            yield (
                ("limits", "cache", "key"),
                f"the cache leaks: its key leaves out {', '.join(left_out)}, so one caller gets another's answer",
            )


def _protection(endpoint: Endpoint, estate: Estate) -> Told:
    """Concurrency and breaker belong to who asks a system itself, and take effect there."""
    raw = endpoint.raw["limits"]
    for key in ("concurrency", "breaker"):
        if key in raw and endpoint.operation.parts:
            yield ("limits", key), f"a join asks no system itself: give `{key}` to the endpoints of its parts"
    for side, _block, source in endpoint.blocks():
        most = registry.target(source.kind).calls(estate.systems[source.system].block) if source else None
        if source and most is not None and raw.get("concurrency", 0) > most:
            too_many = f"{raw['concurrency']} calls at once are more than the {most} that {source.system} takes, the {side} block's system"
            yield ("limits", "concurrency"), too_many
    breaker = raw.get("breaker")
    if breaker and seconds(breaker["window"]) <= endpoint.operation.deadline:
        why = f"failures that take the whole deadline of {raw['deadline']} would hardly add up"
        yield ("limits", "breaker", "window"), f"a window of {breaker['window']} is too short: {why}"


def invalidates(endpoint: Endpoint, estate: Estate) -> Told:
    """What a write changes is a cached read."""
    for name in endpoint.operation.invalidates:
        read = estate.endpoints.get(name)
        if name not in estate.names:
            yield ("invalidates",), f"there is no endpoint '{name}' to invalidate{instead(name, estate.names)}"
        elif read is not None and read.operation.cache is None:
            yield ("invalidates",), f"'{name}' is not cached: there is nothing to invalidate"
    if endpoint.operation.invalidates and endpoint.operation.effect == "read":
        yield ("invalidates",), "a read changes nothing, so it invalidates nothing"


def quality(endpoint: Endpoint, _: Estate) -> Told:
    for name in endpoint.operation.quality.required:
        if name not in endpoint.fields:
            yield (
                ("quality", "required"),
                f"quality.required names '{name}', which the response does not have{instead(name, endpoint.fields)}",
            )


def examples(endpoint: Endpoint, _: Estate) -> Told:
    """Examples can be asked, and at least one shows a good answer."""
    for n, example in enumerate(endpoint.operation.examples):
        path: Path = ("examples", n)
        for name in example.request:
            if name not in endpoint.params:
                yield (*path, "request", name), f"the example gives '{name}', which is not a parameter{instead(name, endpoint.params)}"
        for name, param in endpoint.params.items():
            if name not in example.request and not param.field.optional and example.expect["status"] < 400:
                yield (*path, "request"), f"the example does not give '{name}', which is required"
        if "count" in example.expect and endpoint.operation.shape != "items":
            yield (*path, "expect", "count"), "an object has no count; only response.items has"
    if all(example.expect["status"] >= 400 for example in endpoint.operation.examples):
        yield ("examples",), "no example shows a good answer (a status below 400)"


CHECKS = (fields, route, verb, auth, limits, invalidates, quality, examples)
