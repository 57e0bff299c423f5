"""`figway decision`: what was decided of people, for who has the store and its key."""

from __future__ import annotations

import json
from functools import partial

import click

from wrapper.cli_migrate import me
from wrapper.cli_state import STATE, account, listed, opened, recording, trail
from wrapper.units import iso, moment


@click.group()
def decision() -> None:
    """Decisions that scores have made of people, and their reviews."""


@decision.command("list")
@click.option("--review", type=click.Choice(["open", "upheld", "overturned"]), help="Only those in this state of review.")
@click.option("--model", help="Only those by this one, like default-risk@1.")
@click.option("--since", help="A day or a moment, like 2026-01-31 or 2026-01-31T12:00 (UTC).")
@click.option("--before", metavar="ID", help="Only those that come after this one in the list: the next page.")
@click.option("--limit", default=50, show_default=True)
@STATE
def list_decisions(review: str | None, model: str | None, since: str | None, before: str | None, limit: int, state: str | None) -> None:
    """List decisions, the newest first: id, time, endpoint, model, outcome, review, who made it."""
    try:
        begin = moment(since) if since else None
    except ValueError:
        raise click.UsageError(f"--since must be like 2026-01-31, or 2026-01-31T12:00 (UTC), met {since!r}") from None
    store = opened(state)
    last = store.decision(before) if before else None
    if before and last is None:
        raise click.ClickException(f"there is no decision {before}")
    found = store.decisions(None, review, limit, model=model, since=begin, before=last)  # type: ignore[arg-type]
    lines = [
        f"{one.id} {iso(one.created)} {one.operation} {one.model} {one.made['outcome']} {one.review or '-'} {one.principal}"
        for one in found
    ]  # fmt: skip
    listed(lines, "no decisions")


@decision.command("show")
@click.argument("id")
@STATE
def show(id: str, state: str | None) -> None:
    """Show one whole: features, reasons, and what people have said."""
    from wrapper.decisions import told

    store = opened(state)
    found = store.decision(id)
    if found is None:
        raise click.ClickException(f"there is no decision {id}")
    with recording(store, "decision shown", about=id):
        click.echo(json.dumps(told(found, whole=True), indent=2, ensure_ascii=False))


@decision.command("review")
@click.argument("id")
@click.argument("outcome", type=click.Choice(["upheld", "overturned"]))
@click.option("--why", required=True, help="For the person: what was looked at, and what it came to.")
@click.option("--by", help="Who you are; your login name when left out.")
@STATE
def review(id: str, outcome: str, why: str, by: str | None, state: str | None) -> None:
    """Answer an open review, which somebody else has asked for."""
    from wrapper.audit import acts
    from wrapper.decisions import REVIEW, Decisions
    from wrapper.policy.keys import Caller

    store, who = opened(state), me(by)
    found = store.decision(id)
    if found is None:
        raise click.ClickException(f"there is no decision {id}")
    act = partial(acts.alone, trail(store), via="cli", account=account())
    Decisions(store, act).end(id, Caller(who, frozenset({REVIEW}), tenant=found.tenant), outcome, why)
    click.echo(f"{id}: {outcome}")
