"""Whose data a request is about: the person, or the record, that its endpoint binds to a claim of the caller.

A subject is known by its claim's name, so customer 0000012345 is the same one at every endpoint that binds it; but the customer of one
tenant is not that of another. It is never written in the clear: what is kept carries its fingerprint, keyed by the store's key, so that
one person's traces can be found and erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wrapper.operation import Operation


@dataclass(frozen=True, slots=True)
class Subject:
    """`kind` is a claim's name, like customer; `tenant` is whose caller asked about it, empty where there is only one."""

    kind: str
    value: str = field(repr=False)
    tenant: str = ""


def of(operation: Operation, params: Mapping[str, Any], tenant: str = "") -> tuple[Subject, ...]:
    """Those of a request, whose parameters are loaded; none where an endpoint binds no parameter."""
    bound = operation.auth.object.items()
    return tuple(Subject(claim, str(params[name]), tenant) for name, claim in bound if params.get(name) is not None)
