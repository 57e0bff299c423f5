"""Endpoints beside each other, and the systems that they share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import re2

from adapters import hours
from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.estate import Estate, Told
from wrapper.catalogue.found import Path, texts
from wrapper.operation import Operation, System

_SECRETS = {
    "host", "url", "endpoint", "dsn", "user", "username_token", "credentials", "basic", "bearer", "password", "passphrase", "key",
    "secret", "token", "host_key", "ca", "cert", "login",
}  # fmt: skip
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|vault:[!-~]+", re.ASCII)


def name(endpoint: Endpoint, _: Estate) -> Told:
    wanted = endpoint.file.removeprefix("endpoints/").removesuffix(".yaml")
    if endpoint.operation.name != wanted:
        yield ("endpoint",), f"the endpoint is called '{endpoint.operation.name}' and its file '{wanted}.yaml'; give both one name"


def routes(endpoint: Endpoint, estate: Estate) -> Told:
    """No request fits two endpoints. The later file, by name, is told."""
    for other in estate.endpoints.values():
        if other.file < endpoint.file and _overlap(endpoint, other):
            same = _bare(endpoint.operation) == _bare(other.operation)
            why = "has the same route" if same else f"is ambiguous beside it: {other.operation.path} takes some of the same paths"
            yield ("route",), f"{other.operation.name} ({other.file}:{other.document.line(('route',))}) {why}"


def _overlap(one: Endpoint, other: Endpoint) -> bool:
    mine, theirs = one.operation.path.split("/"), other.operation.path.split("/")
    return (
        one.operation.method == other.operation.method
        and len(mine) == len(theirs)
        and all(_meet(a, one, b, other) for a, b in zip(mine, theirs, strict=True))
    )


def _meet(mine: str, one: Endpoint, theirs: str, other: Endpoint) -> bool:
    """Whether some text fits both steps; a parameter's pattern may keep a literal out."""
    match mine.startswith("{"), theirs.startswith("{"):
        case True, False:
            return _takes(one, mine[1:-1], theirs)
        case False, True:
            return _takes(other, theirs[1:-1], mine)
        case True, True:
            return True
    return mine == theirs


def _takes(endpoint: Endpoint, param: str, text: str) -> bool:
    pattern = endpoint.params[param].field.pattern if param in endpoint.params else None
    try:
        return pattern is None or re2.fullmatch(pattern, text) is not None
    except re2.error:
        return False


def _bare(operation: Operation) -> str:
    return re.sub(r"\{[^}]*\}", "{}", operation.path)


CHECKS = (name, routes)


def system(one: System) -> Told:
    """What is true of a system without its kind: references, users, hours. No value is shown."""
    at = ("systems", one.name)
    for path, value in texts(one.block, at):
        last = next(step for step in reversed(path) if isinstance(step, str))
        made = last == "credentials" and "users" in path and value.startswith("py:")
        if (last in _SECRETS or "://" in value) and not _REFERENCE.fullmatch(value) and not made:
            yield path, f"'{last}' must be a reference, env:NAME, file:/path or vault:name: hosts and secrets are not kept in the catalogue"
    units = [user["lu"] for user in one.block.get("users", []) if "lu" in user]
    for n, unit in enumerate(units):
        if unit in units[:n]:
            yield (*at, "users", n), f"the LU {unit} is here twice: one session holds it, the other can't sign on"
    for key, bound in (("sessions", "max"), ("sessions", "min"), ("pool", "max")):
        many = one.block.get(key, {}).get(bound, 0)
        if units and many > len(units):
            yield (*at, key, bound), f"a pool of {many} is larger than its {len(units)} users: one user, one session"
    if "hours" in one.block:
        yield from _hours(one.block["hours"], (*at, "hours"))


def _hours(told: Mapping[str, str], at: Path) -> Told:
    if not _is_zone(told["timezone"]):
        yield (*at, "timezone"), f"'{told['timezone']}' is not a time zone; write it like Europe/London"
    try:
        hours.parse(told["open"], ZoneInfo("UTC"))
    except hours.BadHours as bad:
        yield (*at, "open"), str(bad)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return False
    return True
