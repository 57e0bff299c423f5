"""All attacks, family by family."""

from __future__ import annotations

from tests.attack import on_3270, on_bodies, on_drop, on_soap, on_sql, on_values
from tests.attack.parts import Attack

FAMILIES = (on_bodies, on_values, on_sql, on_3270, on_soap, on_drop)
ATTACKS: tuple[Attack, ...] = tuple(attack for family in FAMILIES for attack in family.ATTACKS)
NAMED = {attack.name: attack for attack in ATTACKS}
assert len(NAMED) == len(ATTACKS), "a name is there twice"
