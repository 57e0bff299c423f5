"""The commands about what the state store keeps: leases, writes, and the store as a whole."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wrapper.settings import Settings, from_environment
from wrapper.units import iso

if TYPE_CHECKING:
    from wrapper.state.store import Store

CATALOGUE = click.option("--catalogue", type=click.Path(file_okay=False), help="The catalogue folder (FIGWAY_CATALOGUE).")
STATE = click.option("--state", help="The state store, sqlite:///PATH or postgresql://... (FIGWAY_STATE).")


def opened(state: str | None, there: bool = True) -> Store:
    """The store that a command is about; one that is not `there` is made."""
    from wrapper.state.store import Store

    settings = settings_of(state)
    return Store(settings.state, settings.state_key, there=there)


def settings_of(state: str | None, **given: Any) -> Settings:
    """Those of a command that needs no catalogue: it may have faults, or be elsewhere."""
    return from_environment(catalogue=str(Path.cwd()), state=state, **given)


def trail(store: Store) -> Path:
    """The audit trail's folder."""
    from wrapper.audit import anchor

    return anchor.folder(settings_of(None), store.folder)


@contextmanager
def recording(store: Store, what: str, **about: Any) -> Iterator[None]:
    """What a person does at the command line: on the audit trail before it is done, and how it ended. Raises NotReady: then it is not."""
    from wrapper.audit import acts

    with acts.alone(trail(store), account(), what, via="cli", **about):
        yield


def account() -> str:
    """Who types: the account that this process has from the system."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def listed(lines: Sequence[str], none: str) -> None:
    """The lines, or that there are none: for the person, and not among the lines."""
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo(none, err=True)


@click.group()
def lease() -> None:
    """Names of which one holder may exist, such as an LU: who has them, and which are barred."""


@lease.command("list")
@STATE
def list_leases(state: str | None) -> None:
    """List leases: name, state, seconds left, host and process of the holder, and how many wait."""
    leases, waiters = opened(state).leases()
    lines = []
    for row in leases.values():
        said = " ".join([*(["barred"] if row.barred else []), "held" if row.live else "free"])
        host, _, _, pid, *_ = [*row.holder.split("/"), "", "", ""] if row.live else ("-", "", "", "-")
        lines.append(f"{row.name} {said:11} {max(row.left, 0):3.0f}s {host} {pid} {sum(row.name in w.names for w in waiters)} waiting")
    listed(lines, "no leases")


@lease.command("unbar")
@click.argument("name")
@STATE
def unbar_lease(name: str, state: str | None) -> None:
    """Let NAME be taken again: its credential, which the back end had refused, is right now."""
    store = opened(state)
    with recording(store, "lease unbar", name=name):
        if not store.unbar_lease(name):
            raise click.ClickException(f"{name} is not barred; `figway lease list` shows what is")
    click.echo(f"{name} may be taken again")


@click.group()
def quota() -> None:
    """How often consumers may call, and endpoints and systems be asked."""


@quota.command("list")
@STATE
def list_quotas(state: str | None) -> None:
    """List what is left of each limit that was drawn from lately: `consumer`, `endpoint` or `system`, its name, and how many."""
    listed([f"{name} {left:.0f} left" for name, left in opened(state).buckets().items()], "no limits in use")


@click.group()
def writes() -> None:
    """Requests that write."""


@writes.command("list")
@click.option("--limit", default=50, show_default=True)
@STATE
def list_writes(limit: int, state: str | None) -> None:
    """List writes of unknown outcome, the newest first: when, endpoint, caller, key, and whether asking may yet settle it."""
    lines = []
    for write in opened(state).unknown_writes(limit):
        hope = "being settled" if write.open else "unknown for good"
        when = iso(write.created)
        lines.append(f"{when} {write.id.operation} {write.id.caller} {write.id.key} {hope}")
    listed(lines, "no unknown writes")


@click.group()
def state() -> None:
    """The state store as a whole."""


@state.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@STATE
def backup_state(file: Path, state: str | None) -> None:
    """Write all of the store and its key to FILE while it is in use. Keep FILE as safe as the key."""
    store = opened(state)
    with recording(store, "state backup"):
        click.echo(f"{file}: {store.backup(file)} rows")


@state.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@STATE
def restore_state(file: Path, state: str | None) -> None:
    """Make a store of a backup, where there is none yet. What came after the backup is not known to it: a write of that time that a
    caller repeats would be done again."""
    from wrapper.state.store import restored

    settings = settings_of(state)
    click.echo(f"{restored(settings.state, settings.state_key, file)} rows; what was under way at the backup counts as unknown")


@state.command("rotate-key")
@click.option(
    "--after", default=0, show_default=True, metavar="SECONDS", help="When the new key begins to seal: by then every host must have it."
)
@STATE
def rotate_state_key(after: int, state: str | None) -> None:
    """Add a key to the store's key file: what is kept and what is tokenised from then on is sealed with it. Old values stay as they are
    and open; fingerprints stay on the first key. Nothing needs a restart."""
    store = opened(state)
    with recording(store, "state rotate-key", after=after):
        number = store.rotate_key(max(after, 0))
    click.echo(f"key {number} seals {f'in {after} seconds: copy the key file to every host before' if after > 0 else 'from now on'}")
