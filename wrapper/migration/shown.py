"""A difference as a person may see it and the store may keep it: JSON-ready, and masked by the contract before anything is kept.

A field with a mask that needs nothing else is masked by it; any other that is masked or personal shows its shape alone (letters A,
digits 9): enough to see a cut text, a blank or another length, and nobody's name. What lies within a personal object or list is personal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from wrapper.migration.compare import Difference, Failure
from wrapper.operation import Field
from wrapper.policy.mask import TEXTS


def shown(met: Difference, shape: str, fields: Sequence[Field]) -> dict[str, Any]:
    """`where`, both values, and the text of the rule that would accept it, None where there is none."""
    root = Field(shape, "object", of=tuple(fields))
    contract = root if met.kind == "count" else _contract(met.path, root)  # how many there are is told
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
        found = _within(found).get(name) if found is not None else None
    return found


def _within(outer: Field) -> Mapping[str, Field]:
    return {f.name: replace(f, pii=f.pii or outer.pii, mask=f.mask or outer.mask) for f in outer.of}


def _value(value: Any, contract: Field | None) -> Any:
    """What nobody has described is personal."""
    match value:
        case None:
            return value
        case Failure():
            return f"{value.status} {value.name}"
        case Mapping():
            inner = _within(contract) if contract is not None else {}
            return {name: _value(one, inner.get(name)) for name, one in value.items()}
        case list() | tuple():
            return [_value(one, contract) for one in value]
    text = value.isoformat() if isinstance(value, date | datetime) else str(value)
    if contract is not None and contract.mask is not None and contract.mask in TEXTS:
        return TEXTS[contract.mask](text)
    if contract is not None and not contract.pii and not contract.mask:
        return value if isinstance(value, bool) else text
    return "true or false" if isinstance(value, bool) else outline(text)


def outline(text: str) -> str:
    """Its shape: letters as A, digits as 9, the rest as it is."""
    return re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", text))
