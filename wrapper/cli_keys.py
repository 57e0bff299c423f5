"""The commands about API keys, and the words in which any command says what a caller may do."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from adapters.blocks import seconds
from wrapper.cli_state import STATE, listed, opened, recording
from wrapper.policy.roles import ROLES
from wrapper.units import DAY, iso

if TYPE_CHECKING:
    from wrapper.policy.keys import Caller, KeyRow

_FORMS = {
    "NAME": (r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", "claims-ui"),
    "--scope": (r"[a-z][a-z0-9_-]*:[a-z][a-z0-9_-]*", "customers:read"),
    "--purpose": (r"[a-z][a-z0-9-]*", "credit-risk"),
    "--claim": (r"[a-z][a-z0-9_]*=[!-~]([ -~]*[!-~])?", "customer=0000012345"),
    "--tenant": (r"[a-z0-9][a-z0-9-]{0,63}", "retail-uk"),
    "--overlap": (r"[1-9][0-9]{0,5}(s|m|h|d)", "24h"),
}
OWN_NAMES = ("figway", "leg")
"""As whom Figway acts by itself: figway, and figway:leg (state/legs.py), whom a token would make of a client or person `leg`."""
_OPTIONS = (
    click.option("--scope", "scopes", multiple=True, help="May be given more than once."),
    click.option(
        "--role", "roles", multiple=True, type=click.Choice(list(ROLES)), help="What one may do in the admin API; as --scope role:ROLE."
    ),
    click.option("--purpose", "purposes", multiple=True),
    click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="customer=0000012345, or customer=* for every one."),
    click.option("--tenant", default="", help="Left out, where there is only one."),
)


def rights(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what a caller may do; caller() reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def caller(
    name: str, *, scopes: Sequence[str], roles: Sequence[str], purposes: Sequence[str], claims: Sequence[str], tenant: str
) -> Caller:
    """Who is spoken of, with what the options say. Raises UsageError."""
    from wrapper.policy.keys import Caller

    checked("NAME", name)
    if name in OWN_NAMES:
        raise click.UsageError(f"{name} is Figway's own name: take another one")
    for option, words in (("--scope", scopes), ("--purpose", purposes), ("--claim", claims), ("--tenant", [tenant] if tenant else [])):
        checked(option, *words)
    bound: dict[str, frozenset[str]] = {}
    for subject, _, value in (claim.partition("=") for claim in claims):
        bound[subject] = bound.get(subject, frozenset()) | {value}
    return Caller(name, frozenset(scopes) | {f"role:{role}" for role in roles}, frozenset(purposes), bound, tenant)


def checked(option: str, *words: str) -> None:
    """What is stored of a caller is printed in one line, and has the forms that a catalogue can ask for."""
    pattern, example = _FORMS[option]
    for word in words:
        if not re.fullmatch(pattern, word):
            raise click.UsageError(f"{option} must be like {example}, met {word!r}")


def told(who: Caller, record: bool = False) -> str:
    """What a caller may do, for a list; for a `record` that is kept for good without whom a claim names."""
    claims = [name if record else f"{name}={','.join(sorted(values))}" for name, values in sorted(who.claims.items())]
    named = [*sorted(who.scopes), *(f"for:{purpose}" for purpose in sorted(who.purposes)), *claims]
    return " ".join([*named, f"tenant:{who.tenant}"] if who.tenant else named)


@click.group()
def key() -> None:
    """API keys."""


@key.command("new")
@click.argument("name")
@rights
@click.option("--days", type=click.IntRange(0, 3650), default=365, show_default=True, help="For how long it holds; 0 is for good.")
@STATE
def new_key(name: str, days: int, state: str | None, **given: Any) -> None:
    """Make a key and print it: this once."""
    who = caller(name, **given)
    store = opened(state, there=False)
    with recording(store, "key new", of=who.principal, may=told(who, record=True)):
        click.echo(store.issue(who, days * DAY or None))


@key.command("rotate")
@click.argument("name")
@click.option("--overlap", default="24h", show_default=True, help="For how long the old ones hold on.")
@STATE
def rotate_key(name: str, overlap: str, state: str | None) -> None:
    """Make a new key with the rights of NAME's, and as long a life, and print it: this once. The old ones end after the overlap."""
    checked("--overlap", overlap)
    store = opened(state)
    with recording(store, "key rotate", of=name):
        click.echo(store.rotate(name, seconds(overlap)))


@key.command("list")
@STATE
def list_keys(state: str | None) -> None:
    """List keys: id, name, state, when it was made or rotated to, when it ends, scopes; never the key itself."""
    lines = []
    for row in opened(state).all_keys():
        ends = iso(row.expires) if row.expires is not None else "for good"
        lines.append(f"{row.id} {row.caller.name:20} {_state(row, time.time()):8} {iso(row.created)} {ends:20} {told(row.caller)}".rstrip())
    listed(lines, "no keys")


def _state(row: KeyRow, now: float) -> str:
    if not row.genuine:
        return "forged"
    return "revoked" if row.revoked else "expired" if row.expires is not None and row.expires <= now else "active"


@key.command("revoke")
@click.argument("name")
@STATE
def revoke_key(name: str, state: str | None) -> None:
    """Revoke every key of NAME."""
    store = opened(state)
    with recording(store, "key revoke", of=name):
        count = store.revoke(name)
    click.echo(f"{count} revoked")
    sys.exit(0 if count else 1)
