"""A difference as a person may see it and the store may keep it: JSON-ready, and masked by the contract before anything is kept.

A field with a mask is masked by it; one that is personal without a mask shows its shape alone (letters A, digits 9): enough to see a cut
text, a blank or another length, and nobody's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from wrapper.migration.compare import Difference, Failure
from wrapper.operation import Field
from wrapper.policy.mask import MASKS


def shown(met: Difference, shape: str, fields: Sequence[Field]) -> dict[str, Any]:
    """`where`, both values, and the text of the rule that would accept it, None where there is none."""
    contract = _contract(met.path, Field(shape, "object", of=tuple(fields)))
    values = {name: _value(value, contract) for name, value in (("control", met.control), ("candidate", met.candidate))}
    return {
        "where": met.where,
        "class": met.kind,
        "path": met.path,
        "detail": met.detail,
        **values,
        "rule": str(met.rule) if met.rule else None,
    }


def _contract(path: str, root: Field) -> Field | None:
    """The field at a path of the catalogue; None for what the contract does not have."""
    found: Field | None = root
    for name in path.split(".")[1:]:
        found = next((f for f in found.of if f.name == name), None) if found is not None else None
    return found


def _value(value: Any, contract: Field | None) -> Any:
    """What nobody has described is personal."""
    match value:
        case None | bool():
            return value
        case Failure():
            return f"{value.status} {value.name}"
        case Mapping():
            inner = {f.name: f for f in contract.of} if contract is not None else {}
            return {name: _value(one, inner.get(name)) for name, one in value.items()}
        case list() | tuple():
            return [_value(one, contract) for one in value]
    text = value.isoformat() if isinstance(value, date | datetime) else str(value)
    if contract is not None and contract.mask:
        return MASKS[contract.mask](text)
    return text if contract is not None and not contract.pii else form(text)


def form(text: str) -> str:
    """Its shape: letters as A, digits as 9, the rest as it is."""
    return re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", text))
