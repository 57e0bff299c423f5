"""`figway migrate kill` and `unkill`: they work without a sound catalogue, and without the state store."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli_migrate import BY, ONE_OR_ALL, WHY, me
from wrapper.cli_state import CATALOGUE, STATE, listed
from wrapper.settings import Settings, from_environment


@click.command()
@ONE_OR_ALL
@click.option("--all", "everything", is_flag=True, help="Every endpoint.")
@click.option("--local", is_flag=True, help="This host's kill file, not the store.")
@WHY
@BY
@CATALOGUE
@STATE
def kill(endpoint: str | None, everything: bool, local: bool, why: str, by: str | None, catalogue: str | None, state: str | None) -> None:
    """Everything to legacy, now: by the store, and where that is away by a file that holds for this host only."""
    from wrapper import killing
    from wrapper.migrating import Said
    from wrapper.state.database import BadStore
    from wrapper.state.store import Store, folder_of

    names = _which(endpoint, everything, catalogue)
    said = Said(me(by), why=why)
    settings = _settings(catalogue, state)
    folder = folder_of(settings.state, settings.state_key)
    try:
        store = None if local else Store(settings.state, settings.state_key, there=True)
        killed = killing.kill(store, folder, names, said)
    except BadStore as error:
        killed = killing.kill(None, folder, names, said, str(error))
    if killed["by"] == "store":
        listed([f"{name}: legacy (was {killed['from'][name]})" for name in killed["killed"]], "everything stands at legacy already")
    else:
        click.echo(
            f"{', '.join(killed['killed'])} held at legacy by {killed['file']}, since the state store was not asked: {killed['store']}"
        )
        click.echo(killed["note"], err=True)


@click.command()
@ONE_OR_ALL
@click.option("--all", "everything", is_flag=True)
@CATALOGUE
@STATE
def unkill(endpoint: str | None, everything: bool, catalogue: str | None, state: str | None) -> None:
    """Take an endpoint (or `*`) out of this host's kill file: it is then where the store says."""
    from wrapper import killing
    from wrapper.state.store import folder_of

    if (endpoint is None) is not everything:
        raise click.UsageError("say an endpoint, or --all")
    settings = _settings(catalogue, state)
    done = killing.unkill(folder_of(settings.state, settings.state_key), [endpoint] if endpoint else [])
    click.echo(f"{', '.join(done['freed'])}: not held here any more" + (f"; still held: {', '.join(done['held'])}" if done["held"] else ""))


def _which(endpoint: str | None, everything: bool, catalogue: str | None) -> list[str]:
    """The endpoint with those that move with it; none are all, for which no catalogue is read."""
    from wrapper import catalogue as catalogues
    from wrapper import migrating

    if (endpoint is None) is not everything:
        raise click.UsageError("say an endpoint, or --all")
    if endpoint is None:
        return []
    settings = from_environment(catalogue=catalogue)
    return migrating.with_others(catalogues.load(settings.catalogue, settings.models), endpoint)


def _settings(catalogue: str | None, state: str | None) -> Settings:
    """No catalogue is needed to know the store."""
    return from_environment(catalogue=catalogue or str(Path.cwd()), state=state)


COMMANDS = (kill, unkill)
