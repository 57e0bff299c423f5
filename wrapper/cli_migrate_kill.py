"""`figway migrate kill` and `unkill`: they work without a sound catalogue, and without the state store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wrapper.cli_migrate import BY, ONE_OR_ALL, WHY, me
from wrapper.cli_state import CATALOGUE, STATE, account, listed, settings_of
from wrapper.settings import BadSettings, Settings, from_environment

if TYPE_CHECKING:
    from wrapper.killing import Named


@click.command(short_help="Everything to legacy, now.")
@ONE_OR_ALL
@click.option("--all", "everything", is_flag=True, help="Every endpoint.")
@click.option("--local", is_flag=True, help="This host's kill file, without a look at the store.")
@WHY
@BY
@CATALOGUE
@STATE
def kill(endpoint: str | None, everything: bool, local: bool, why: str, by: str | None, catalogue: str | None, state: str | None) -> None:
    """Everything to legacy, now: by the store, and where that is away by a file that holds for this host only."""
    from wrapper import killing
    from wrapper.audit import acts, anchor
    from wrapper.migrating import Said
    from wrapper.state.database import BadStore
    from wrapper.state.store import Store, folder_of

    which = _which(endpoint, everything, catalogue)
    said = Said(me(by), why=why)
    settings = settings_of(state)
    folder = folder_of(settings.state, settings.state_key)
    acts.told(anchor.folder(settings, folder), said.who, "migrate kill", about=endpoint or "all", via="cli", account=account(), why=why)
    try:
        store = None if local else Store(settings.state, settings.state_key, there=True)
        killed = killing.kill(store, folder, which, said)
    except BadStore as error:
        killed = killing.kill(None, folder, which, said, str(error))
    if killed["by"] == "store":
        listed([f"{name}: legacy (was {killed['from'][name]})" for name in killed["killed"]], "everything stands at legacy already")
    else:
        since = "without a look at the store" if local else f"since the state store is away: {killed['store']}"
        click.echo(f"{', '.join(killed['killed'])} held at legacy by {killed['file']}, {since}")
    for note in killed["notes"]:
        click.echo(f"  {note}", err=killed["by"] == "file")
    if not which.known:
        alone = "that is this endpoint alone, as it was typed, and no other write of its group"
        click.echo(f"{alone}; `figway migrate kill --all` needs no catalogue", err=True)


@click.command(short_help="Take endpoints out of this host's kill file.")
@ONE_OR_ALL
@click.option("--all", "everything", is_flag=True, help="All that the file holds.")
@STATE
def unkill(endpoint: str | None, everything: bool, state: str | None) -> None:
    """Take an endpoint (or `*`) out of this host's kill file: it is then where the store says."""
    from wrapper import killing
    from wrapper.state.store import folder_of

    if (endpoint is None) is not everything:
        raise click.UsageError("say an endpoint, or --all")
    settings = settings_of(state)
    done = killing.unkill(folder_of(settings.state, settings.state_key), [endpoint] if endpoint else [])
    click.echo(f"{', '.join(done['freed'])}: not held here any more" + (f"; still held: {', '.join(done['held'])}" if done["held"] else ""))
    _stand(settings, done["freed"], done["held"])


def _stand(settings: Settings, freed: list[str], held: list[str]) -> None:
    """Where the endpoints are that are held no more."""
    from wrapper import kill_file, killing
    from wrapper.problems import NotReady
    from wrapper.state.database import BadStore
    from wrapper.state.store import Store

    try:
        stand = killing.stand(Store(settings.state, settings.state_key, there=True), freed)
    except (BadStore, NotReady) as error:
        click.echo(f"  they are where they stood: {error}", err=True)
        return
    for name, standing in stand.items():
        if not kill_file.holds(held, name):
            click.echo(f"  {name}: {standing}")


def _which(endpoint: str | None, everything: bool, catalogue: str | None) -> Named:
    """The endpoint with those that move with it, or it alone where the catalogue has faults; none are all: then no catalogue is read."""
    from wrapper import catalogue as catalogues
    from wrapper.killing import Named, named

    if (endpoint is None) is not everything:
        raise click.UsageError("say an endpoint, or --all")
    if endpoint is None:
        return Named()
    try:
        settings = from_environment(catalogue=catalogue)
        return named(catalogues.load(settings.catalogue, settings.models), endpoint)
    except (BadSettings, catalogues.CatalogueError) as error:
        click.echo(f"the catalogue has faults: {str(error).splitlines()[0]}", err=True)
        return Named([endpoint], None, known=False)


COMMANDS = (kill, unkill)
