"""Roles of the admin API: the scopes that `role:<name>` stands for, in a key's scopes as in a token's.

Whoever changes a stage can't approve it (migrator, operator), and no role shows personal values in clear: `pii:read`, `pii:reveal` and
`decisions:review` are granted by name only.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

PREFIX = "role:"
_VIEWER = frozenset({"health:read", "migration:read"})
ROLES: Mapping[str, frozenset[str]] = {
    "viewer": _VIEWER,
    "migrator": _VIEWER | {"migration:change", "migration:samples", "migration:sweep", "migration:test"},
    "operator": _VIEWER | {"cache:bypass", "migration:approve"},
    "security": frozenset({"health:read", "subjects:erase", "subjects:hold", "subjects:report"}),
}


def expanded(scopes: Set[str]) -> frozenset[str]:
    """`scopes` with those of each role in them; what is no role of ours gives nothing."""
    roles = [ROLES[name] for scope in scopes if scope.startswith(PREFIX) and (name := scope.removeprefix(PREFIX)) in ROLES]
    return frozenset(scopes).union(*roles)
