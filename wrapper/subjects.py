"""Whose data a request is about: the people, or the records, that its endpoint's `auth.object` names.

A subject that is bound to a claim is known by the claim's name, so customer 0000012345 is the same one at every endpoint that binds it; any
other by its parameter's name. But the customer of one tenant is not that of another. It is never written in the clear: what is kept carries
its fingerprint, keyed by the store's key, so that one person's traces can be found and erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wrapper.operation import Operation


@dataclass(frozen=True, slots=True)
class Subject:
    """`kind` is a claim's name, like customer, or a parameter's, like debtor; `tenant` is whose caller asked about it, empty where there is
    only one."""

    kind: str
    value: str = field(repr=False)
    tenant: str = ""


def of(operation: Operation, params: Mapping[str, Any], tenant: str = "") -> tuple[Subject, ...]:
    """Those of a request, whose parameters are loaded, each once; none where an endpoint's `auth.object` names none."""
    return tuple(
        dict.fromkeys(
            Subject(rule.claim or path.rpartition(".")[2], str(value), tenant)
            for path, rule in operation.auth.object.items()
            for value in given(params, path)
            if value is not None
        )
    )


def given(params: Mapping[str, Any], path: str) -> list[Any]:
    """What a request says at a path like `payments.debtor`: of each item where there is a list on the way, None for what was left out."""
    found: list[Any] = [params]
    for step in path.split("."):
        inner = [None if outer is None else outer.get(step) for outer in found]
        found = [one for each in inner for one in (each if isinstance(each, list | tuple) else (each,))]
    return found
