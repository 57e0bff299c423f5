"""`figway migrate`: the commands that look at endpoints' stages and move them. What they do is in migrating.py and overview.py."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from wrapper.cli_state import CATALOGUE, STATE, account, listed, trail
from wrapper.settings import from_environment

if TYPE_CHECKING:
    from wrapper.migrating import Office

JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")
BY = click.option("--by", help="Who you are; the login name unless it is said.")
WHY = click.option("--why", required=True, help="For the history.")
ENDPOINT = click.argument("endpoint")
ONE_OR_ALL = click.argument("endpoint", required=False)


@click.group()
def migrate() -> None:
    """Move endpoints from legacy to modern, on evidence, and back."""


def office(catalogue: str | None, state: str | None) -> Office:
    """The catalogue and a store that is there."""
    from wrapper import catalogue as catalogues
    from wrapper.audit import acts
    from wrapper.migrating import Office
    from wrapper.state.store import Store

    settings = from_environment(catalogue=catalogue, state=state)
    store = Store(settings.state, settings.state_key, there=True)
    act = partial(acts.alone, trail(store), via="cli", account=account())
    return Office(catalogues.load(settings.catalogue, settings.models), store, act=act)


def me(said: str | None) -> str:
    """Who the person is: as said, or by the login name, which a container may not have."""
    if said is None:
        try:
            return getpass.getuser()
        except (KeyError, ImportError, OSError):
            raise click.UsageError("you have no login name here: say who you are, --by NAME") from None
    return said


def show(data: Any, as_json: bool, lines: Callable[[Any], Iterator[str]], none: str = "") -> None:
    """As a person reads it, or as a program does."""
    if as_json:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        listed(list(lines(data)), none)


@migrate.command()
@ONE_OR_ALL
@JSON
@CATALOGUE
@STATE
def status(endpoint: str | None, as_json: bool, catalogue: str | None, state: str | None) -> None:
    """Where endpoints stand and what the next step asks for. And how long that will take."""
    from wrapper import overview

    show(overview.status(office(catalogue, state), endpoint), as_json, _status, "no endpoint migrates: none has a `migration` block")


@migrate.command()
@ONE_OR_ALL
@click.option("--limit", default=100, show_default=True)
@JSON
@CATALOGUE
@STATE
def history(endpoint: str | None, limit: int, as_json: bool, catalogue: str | None, state: str | None) -> None:
    """Every move, the newest first. When, endpoint, number, stage, who, ticket, why."""
    from wrapper import overview

    show(overview.history(office(catalogue, state), endpoint, limit), as_json, _history, "nothing was ever moved")


@migrate.command()
@ENDPOINT
@click.option("--to", type=click.Choice(["shadow", "canary", "modern", "retired"]), help="The next step unless it is said.")
@click.option("--share", metavar="10%", help="Of a canary: the share of keys that modern answers.")
@click.option("--consumer", "consumers", multiple=True, metavar="NAME=100%", help="The share of one consumer; may be given more than once.")
@click.option("--ticket", default="", help="Needed past shadow.")
@click.option("--why", default="", help="For the history; needed for retired.")
@BY
@CATALOGUE
@STATE
def promote(
    endpoint: str, to: str | None, share: str | None, consumers: Sequence[str], ticket: str, why: str, by: str | None,
    catalogue: str | None, state: str | None,
) -> None:  # fmt: skip
    """One step up: to shadow at once, further as a proposal. Another person approves it within a day. Refused, with all reasons, before its
    time."""
    from wrapper import migrating

    wanted = migrating.wish(to, share, _shares(consumers))
    _done(migrating.promote(office(catalogue, state), endpoint, wanted, migrating.Said(me(by), ticket, why)))


@migrate.command()
@ENDPOINT
@BY
@CATALOGUE
@STATE
def approve(endpoint: str, by: str | None, catalogue: str | None, state: str | None) -> None:
    """The second person's word on a proposal. Gates are looked at again, and the endpoint moves."""
    from wrapper import migrating

    _done(migrating.approve(office(catalogue, state), endpoint, me(by)))


@migrate.command()
@ENDPOINT
@BY
@CATALOGUE
@STATE
def withdraw(endpoint: str, by: str | None, catalogue: str | None, state: str | None) -> None:
    """Take a proposal back."""
    from wrapper import migrating

    done = migrating.withdraw(office(catalogue, state), endpoint, migrating.Said(me(by)))
    click.echo(f"{endpoint}: nothing is proposed any more; withdrawn by {done['who']}")


@migrate.command()
@ENDPOINT
@click.option(
    "--to", type=click.Choice(["modern", "shadow", "legacy"]), help="Shadow unless it is said; legacy for a write, modern from retired."
)
@click.option("--accept-loss", metavar="TICKET", default="", help="Although legacy lacks writes that modern has.")
@WHY
@BY
@CATALOGUE
@STATE
def rollback(endpoint: str, to: str | None, accept_loss: str, why: str, by: str | None, catalogue: str | None, state: str | None) -> None:
    """Back, at once, by one person. Refused while legacy lacks writes that modern has."""
    from wrapper import migrating
    from wrapper.catalogue import CatalogueError

    said = migrating.Said(me(by), why=why)
    try:
        here = office(catalogue, state)
    except CatalogueError:
        click.echo("the catalogue has faults, and a rollback needs it; `figway migrate kill` needs no catalogue", err=True)
        raise
    _done(migrating.rollback(here, endpoint, migrating.wish(to).to, said, accept_loss))


@migrate.command()
@click.argument("group", required=False)
@click.option("--retry", metavar="ID", help="Have this write carried over again.")
@click.option("--settle", metavar="ID", help="You have looked at both sides and repaired what was missing.")
@click.option("--write-owed", is_flag=True, help="Have all that legacy lacks of GROUP carried over to it.")
@click.option("--why", default="", help="For --settle.")
@BY
@JSON
@CATALOGUE
@STATE
def reconcile(
    group: str | None, retry: str | None, settle: str | None, write_owed: bool, why: str, by: str | None, as_json: bool,
    catalogue: str | None, state: str | None,
) -> None:  # fmt: skip
    """Writes that one side has and the other has not. Which, why, and what is to be done about them."""
    from wrapper import migrating, overview

    if sum((bool(retry), bool(settle), write_owed)) > 1 or (write_owed and not group):
        raise click.UsageError("say one of --retry ID, --settle ID, and GROUP --write-owed")
    here = office(catalogue, state)
    if retry:
        click.echo(f"{retry}: {migrating.retry(here, retry, me(by))['done']}")
    elif settle:
        said = migrating.Said(me(by), why=why)
        click.echo(f"{settle}: {migrating.settle(here, settle, said)['done']}")
    elif write_owed:
        click.echo(f"the job worker carries over as many writes: {migrating.write_owed(here, str(group), me(by))['writes']}")
    else:
        show(overview.reconcile(here, group), as_json, _reconcile, "both sides have the same writes")


def _shares(said: Sequence[str]) -> dict[str, str] | None:
    made: dict[str, str] = {}
    for text in said:
        found = re.fullmatch(r"([^=\s]+)=(\S+)", text)
        if found is None or found[1] in made:
            raise click.UsageError(f"--consumer must be like claims-ui=100%, each name once, met {text!r}")
        made[found[1]] = found[2]
    return made or None


def words(standing: Mapping[str, Any]) -> str:
    """A standing of the JSON in a few words."""
    shares = [standing["share"]] if "share" in standing else []
    return ", ".join([" ".join([standing["stage"], *shares]), *(f"{n}={s}" for n, s in standing.get("consumers", {}).items())])


def _done(moved: Mapping[str, Any]) -> None:
    if "proposed" in moved:
        ahead = moved["proposed"]
        also = f", and with it {', '.join(moved['with'])}" if moved["with"] else ""
        for line in (*moved["gates"], *moved["notes"]):
            click.echo(f"  {line}")
        click.echo(f"{moved['endpoint']}: {words(ahead)} is proposed{also}; until {ahead['until']} another person may say")
        click.echo(f"  figway migrate approve {moved['endpoint']} --by NAME")
        return
    for name in moved["moved"]:
        click.echo(f"{name}: {words(moved)} (was {words(moved['from'])})")
    for note in moved["notes"]:
        click.echo(f"  {note}")


def _status(data: Mapping[str, Any]) -> Iterator[str]:
    file = data["kill_file"]
    for name, instead in file["unknown"].items():
        yield f"{file['file']}: line {name!r} holds nothing: there is no such endpoint{instead}"
    for name, why in file["holds"].items():
        yield f"{'everything' if name == '*' else name} is held at legacy on this host by {file['file']}: {why or 'no reason told'}"
    for each in data["endpoints"]:
        by = f" and {each['second']}" if each.get("second") else ""
        on = f" on {each['ticket']}" if each.get("ticket") else ""
        since = f" since {each['since']} by {each['who']}{by}{on}: {each['why'] or 'no reason told'}" if "since" in each else ""
        yield f"{each['endpoint']}: {words(each)} (its file allows up to {each['highest']}){since}"
        proposal = each["proposal"]
        if each["next"]:
            yield f"  next: {each['next']}; " + ("nothing is missing" if not each["missing"] else f"{len(each['missing'])} missing")
        yield from (f"    {line}" for line in each["missing"])
        if proposal is not None:
            yield from (f"    met: {gate['name']}: {gate['there']}; {gate['asked']}" for gate in each["gates"] if gate["met"])
        yield from (f"  {line}" for line in each["notes"])
        if proposal is not None:
            by = f"{proposal['who']} on {proposal['ticket']}: {proposal['why'] or 'no reason told'}"
            yield f"  {words(proposal)} is proposed by {by}; to be approved until {proposal['until']}"
        if each["rollback_refused"]:
            yield f"  {each['rollback_refused']}"


def _history(data: Mapping[str, Any]) -> Iterator[str]:
    for move in data["moves"]:
        who = f"{move['who']} and {move['second']}" if move["second"] else move["who"]
        yield f"{move['at']} {move['endpoint']} {move['number']} {words(move)}; {who}; {move['ticket'] or '-'}; {move['why'] or '-'}"


def _reconcile(data: Mapping[str, Any]) -> Iterator[str]:
    for item in data["items"]:
        sides = f"{item['has'] or 'nobody knows who'} has it, {item['lacks']} lacks it"
        what = f"{item['endpoint']} {item['family']}/{item['record']} {item['state']}"
        yield f"{item['since']} {item['reference']} {what}: {sides}; sent by {item['caller']} under the key {item['key']}; {item['why']}"
