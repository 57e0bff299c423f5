"""All attacks, family by family."""

from __future__ import annotations

from tests.attack import (
    on_3270,
    on_admin,
    on_backends,
    on_bodies,
    on_callers,
    on_catalogue,
    on_credentials,
    on_drop,
    on_issuer,
    on_kept,
    on_limits,
    on_people,
    on_records,
    on_seams,
    on_soap,
    on_sql,
    on_tokens,
    on_values,
    on_wire,
    on_writes,
)
from tests.attack.parts import Attack

FAMILIES = (
    on_tokens, on_credentials, on_issuer, on_callers, on_writes, on_kept, on_bodies, on_values, on_sql, on_3270, on_soap, on_drop,
    on_backends, on_catalogue, on_records, on_people, on_limits, on_admin, on_wire,
    on_seams,
)  # fmt: skip
ATTACKS: tuple[Attack, ...] = tuple(attack for family in FAMILIES for attack in family.ATTACKS)
MODULES = {attack.name: family.__name__ for family in FAMILIES for attack in family.ATTACKS}
assert len(MODULES) == len(ATTACKS), "a name is there twice"
