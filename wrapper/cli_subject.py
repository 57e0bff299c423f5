"""`figway subject`, `figway token` and `figway state purge`: what a person may ask of those who keep data about them, what a token stands
for, and what is dropped when its time is over. What they do is in privacy.py."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from wrapper.cli_state import CATALOGUE, STATE, account, opened, state, trail
from wrapper.settings import from_environment
from wrapper.subjects import Subject
from wrapper.units import iso

if TYPE_CHECKING:
    from wrapper.privacy import Desk

MANY = 100_000
_WHY = click.option("--why", required=True, help="For the audit trail: the number of a case, and nobody's name.")
_TENANT = click.option("--tenant", default="", help="Left out, where there is only one.")
_WHOM = click.argument("whom", metavar="KIND=VALUE|FINGERPRINT")


@contextmanager
def desk(state: str | None, why: str) -> Iterator[Desk]:
    """Where this is done, by who types."""
    from wrapper.audit.trail import Audit
    from wrapper.privacy import Desk

    if not why.strip():
        raise click.UsageError("--why must say why, like --why 'case 71'")
    with closing(opened(state)) as store, closing(Audit(trail(store), store)) as audit:
        yield Desk(store, audit, account(), "cli", why)


@click.group()
def subject() -> None:
    """One person, as customer=0000012345: what is kept of them, and its erasure. A fingerprint, as reports and the audit trail show it,
    does where the person need not be known."""


@subject.command("report")
@click.argument("whom", metavar="KIND=VALUE")
@_TENANT
@_WHY
@STATE
def report(whom: str, tenant: str, why: str, state: str | None) -> None:
    """Print all that is kept of a person, opened, as JSON."""
    with desk(state, why) as at:
        found = at.report(_subject(whom, tenant))
    _show(found)
    if not any(isinstance(kept, list) and kept for kept in found.values()):
        click.echo("nothing is kept of them; look whether kind, value and --tenant are as requests have them", err=True)


@subject.command("erase")
@_WHOM
@_TENANT
@_WHY
@STATE
def erase(whom: str, tenant: str, why: str, state: str | None) -> None:
    """Erase all that is kept of a person. What was done for them is not done again: repeats get 410."""
    with desk(state, why) as at:
        _show(at.erase(_fingerprint(at, whom, tenant)))


@subject.command("hold")
@_WHOM
@_TENANT
@_WHY
@STATE
def hold(whom: str, tenant: str, why: str, state: str | None) -> None:
    """Keep all of a person, whoever asks, until it is released."""
    with desk(state, why) as at:
        _show(at.hold(_fingerprint(at, whom, tenant)))


@subject.command("release")
@_WHOM
@_TENANT
@_WHY
@STATE
def release(whom: str, tenant: str, why: str, state: str | None) -> None:
    """End a hold."""
    with desk(state, why) as at:
        _show(at.release(_fingerprint(at, whom, tenant)))


@click.group()
def token() -> None:
    """Tokens that stand for personal values."""


@token.command("reveal")
@click.argument("tokens", nargs=-1, required=True)
@_TENANT
@_WHY
@STATE
def reveal(tokens: Sequence[str], tenant: str, why: str, state: str | None) -> None:
    """Print the values that TOKENS stand for, as JSON."""
    with desk(state, why) as at:
        _show(at.reveal(tokens, tenant, "command line"))


@state.command("purge")
@click.option("--dry-run", is_flag=True, help="Only say how many rows would be dropped.")
@CATALOGUE
@STATE
def purge_state(dry_run: bool, catalogue: str | None, state: str | None) -> None:
    """Drop what is past its time by `retention` of access.yaml, as the job worker does by itself."""
    from wrapper import access
    from wrapper import catalogue as catalogues
    from wrapper.privacy import Purge

    settings = from_environment(catalogue=catalogue, state=state)
    kept = access.read(catalogues.load(settings.catalogue, settings.models).access, settings.environ).retention
    with desk(state, "retention") as at:
        purge = Purge(at.store, at.audit, kept)
        for kind, rows in purge.due(MANY).items():
            click.echo(f"{kind}: {f'{MANY} rows or more' if rows >= MANY else f'{rows} rows'} from before {iso(time.time() - kept[kind])}")
        if not dry_run:
            while purge.turn():
                pass
            click.echo(at.store.overwrite_deleted() or "all of them are dropped")


def _subject(whom: str, tenant: str) -> Subject:
    kind, equals, value = whom.partition("=")
    if not (kind and equals and value):
        raise click.UsageError(f"say whom, like customer=0000012345{'' if equals else ', or by a fingerprint of 32 digits'}")
    return Subject(kind, value, tenant)


def _fingerprint(at: Desk, whom: str, tenant: str) -> str:
    from wrapper.state.kept import MARK

    return whom if MARK.fullmatch(whom) else at.store.fingerprint(_subject(whom, tenant))


def _show(data: dict[str, Any]) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
