"""What access.yaml promises across its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wrapper.access import OWN, unsafe
from wrapper.catalogue.estate import Told

TAKEN = {"cert": "callers by certificate", "cli": "people at the command line", OWN: "callers of the embedded issuer"}
"""What other callers' names begin with."""


def faults(access: Mapping[str, Any]) -> Told:
    """Of a file that has the right shape; references are not followed."""
    for name, one in access.get("issuers", {}).items():
        if name in TAKEN:
            yield ("issuers", name), f"'{name}:' begins the names of {TAKEN[name]}; give the issuer another name"
        if not one["jwks"].startswith(("env:", "file:")) and (why := unsafe(one["jwks"])):
            yield ("issuers", name, "jwks"), why
    yield from _certificates(access.get("certificates", {}))


def _certificates(certificates: Mapping[str, Any]) -> Told:
    """Each certificate is one caller's."""
    seen: dict[str, str] = {}
    for name, one in certificates.items():
        if ("san" in one) == ("sha256" in one):
            yield ("certificates", name), "say by which of the two it is known: `san` or `sha256`"
            continue
        known = one.get("san") or one["sha256"]
        if known in seen:
            yield ("certificates", name), f"'{seen[known]}' is known by the same certificate"
        seen.setdefault(known, name)
