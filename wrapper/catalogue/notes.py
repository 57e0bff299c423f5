"""What is no fault of a catalogue, and better said than assumed: what is not enforced yet, and what was left out that few would want to."""

from __future__ import annotations

from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.estate import Estate, Told, beyond, terms
from wrapper.operation import System


def of_endpoint(endpoint: Endpoint, estate: Estate) -> Told:
    yield from _unsaid(endpoint, estate)
    if beyond(endpoint, "shadow") and "roll_back_when" not in terms(endpoint):
        yield ("migration",), "nothing takes it back by itself when modern fails: say roll_back_when"


def _unsaid(endpoint: Endpoint, estate: Estate) -> Told:
    """A write beside cached reads says what it invalidates."""
    mine = endpoint.operation
    cached = sorted(e.operation.name for e in estate.endpoints.values() if e.operation.cache and e.operation.group == mine.group)
    if cached and mine.effect != "read" and not mine.invalidates:
        yield ("endpoint",), f"{', '.join(cached)} of the same group may show what was before this write for a ttl: say `invalidates`"


def of_system(system: System) -> Told:
    if "cutover" in system.block.get("hours", {}):
        yield ("systems", system.name, "hours", "cutover"), "hours.cutover is checked, and not used by this version"
