"""Nothing is said to a back end in the clear that leaves this machine, unless the catalogue says why it may be.

Each kind calls this where it learns that a way has no verified TLS. Loopback needs no reason: who could listen there owns the machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from adapters.errors import Misconfigured


def refuse(name: str, host: str, system: Mapping[str, Any], secure_it: str) -> None:
    """`secure_it` says in words how this kind's way is made safe. Raises Misconfigured."""
    if is_loopback(host) or system.get("clear"):
        return
    raise Misconfigured(
        f"{name} would be spoken to without verified TLS, for all on the way to read: {secure_it}, or give the reason why not as `clear`",
        backend=name,
    )


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` stays on this machine. A name other than localhost may lead anywhere."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
