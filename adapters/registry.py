"""The adapter kinds, by name. Adding one: a package `adapters/<kind>/`, a line here, a conformance subclass."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from adapters.base import AdapterModule, TargetModule

KINDS = {
    "http": "adapters.http",
    "odbc": "adapters.odbc",
    "sftp": "adapters.sftp",
    "soap": "adapters.soap",
    "tn3270": "adapters.tn3270",
}


def target(kind: str) -> TargetModule:
    """The kind's schemas and compiler; imports no protocol library."""
    return cast(TargetModule, import_module(f"{KINDS[kind]}.target"))


def adapter(kind: str) -> AdapterModule:
    """The kind's live side; imports its protocol library, so an ImportError here means a missing package."""
    return cast(AdapterModule, import_module(f"{KINDS[kind]}.adapter"))
