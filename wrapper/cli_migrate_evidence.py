"""`figway migrate`: the commands about evidence: what differed, signed reports, who still calls, the burndown, and the sweep."""

from __future__ import annotations

import json
import re
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from wrapper.cli_migrate import ENDPOINT, JSON, ONE_OR_ALL, office, show
from wrapper.cli_state import CATALOGUE, STATE, listed, opened, recording

if TYPE_CHECKING:
    from wrapper.operation import Operation
    from wrapper.policy.keys import Caller
    from wrapper.state.store import Store
    from wrapper.sweep import Summary

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@ENDPOINT
@JSON
@CATALOGUE
@STATE
def samples(endpoint: str, as_json: bool, catalogue: str | None, state: str | None) -> None:
    """What differed, by kind, with masked values of both sides. And the rule that would accept it."""
    from wrapper import overview

    at = office(catalogue, state)
    with recording(at.store, "migrate samples", about=endpoint):
        show(overview.samples(at, endpoint), as_json, _samples, "no difference was met since the evidence began")


@click.command()
@ENDPOINT
@JSON
@CATALOGUE
@STATE
def rules(endpoint: str, as_json: bool, catalogue: str | None, state: str | None) -> None:
    """The `compare` rules that would accept what is like noise. As a person may put them into the endpoint's file."""
    from wrapper import overview

    at = office(catalogue, state)
    with recording(at.store, "migrate rules", about=endpoint):
        show(overview.proposed_rules(at, endpoint), as_json, _rules)


@click.command()
@ENDPOINT
@click.option("--number", type=int, help="Of the move (see history); the newest that has a report unless it is said.")
@click.option("--html", type=FILE, help="Write a page for people.")
@click.option("--json", "as_file", type=FILE, help="Write what is signed.")
@CATALOGUE
@STATE
def report(endpoint: str, number: int | None, html: Path | None, as_file: Path | None, catalogue: str | None, state: str | None) -> None:
    """The signed evidence report of a promotion: what it is of, unless it is written to a file."""
    from wrapper import overview
    from wrapper.migration.report import as_html
    from wrapper.migration.report import verify as read

    text = overview.report(office(catalogue, state), endpoint, number)
    for file, content in ((html, as_html(text) if html else ""), (as_file, text)):
        if file is not None:
            _write(file, content)
    if html is None and as_file is None:
        listed(list(_document(read(text))), "")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--key", help="The public key that it must be signed with, as 64 hexadecimal digits.")
def verify(file: Path, key: str | None) -> None:
    """Whether a report is as it was signed; exit 1 when it is not."""
    from wrapper.migration.report import BadReport
    from wrapper.migration.report import verify as verified

    if key is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", key):
        raise click.UsageError("--key must be 64 hexadecimal digits, as `figway migrate public-key` prints them")
    public = bytes.fromhex(key) if key is not None else None
    try:
        document = verified(file.read_text(encoding="utf-8"), public)
    except (BadReport, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {error}") from None
    whose = "by that key" if public is not None else f"by the key {document['key']['public']}: whose is it? `figway migrate public-key`"
    click.echo(f"{file}: as it was signed, {whose}")
    for line in _document(document):
        click.echo(f"  {line}")


@click.command()
@STATE
def public_key(state: str | None) -> None:
    """Print the key that verifies this installation's reports."""
    from wrapper import promotion

    click.echo(promotion.public_key(opened(state)).hex())


@click.command()
@ONE_OR_ALL
@JSON
@CATALOGUE
@STATE
def callers(endpoint: str | None, as_json: bool, catalogue: str | None, state: str | None) -> None:
    """Who still calls, and how often. Calls of the last 7 and 30 days by side, the first call and the last."""
    from wrapper import overview
    from wrapper.migration import consumption as told

    found = overview.consumers(office(catalogue, state), endpoint)
    show(told.data(found) if as_json else found, as_json, lambda all: iter(told.lines(all)))


@click.command()
@click.option("--html", type=FILE, help="Write a page for people.")
@JSON
@CATALOGUE
@STATE
def burndown(html: Path | None, as_json: bool, catalogue: str | None, state: str | None) -> None:
    """How far the migration is, and when it may be over. Endpoints by stage, calls left on legacy, what stands in the way."""
    from wrapper import overview
    from wrapper.migration import burndown_shown

    told = overview.burned_down(office(catalogue, state))
    if html is not None:
        _write(html, burndown_shown.page(told))
    else:
        show(burndown_shown.data(told) if as_json else told, as_json, lambda all: iter(burndown_shown.lines(all)))


@click.command()
@ENDPOINT
@click.option(
    "--keys", "file", type=click.File(encoding="utf-8-sig"), required=True, help="A key a line, or CSV with the parameters' names."
)
@click.option("--window", metavar="22:00-05:00", help="Hours of this machine's day; outside of them it waits.")
@click.option("--at-once", default=2, show_default=True, help="Keys under way at one time.")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where the facade is served.")
@click.option("--after", metavar="KEY", help="Go on behind this key.")
@CATALOGUE
@STATE
def sweep(
    endpoint: str, file: Any, window: str | None, at_once: int, url: str, after: str | None, catalogue: str | None, state: str | None
) -> None:
    """Compare a list of keys through the served facade. Inside what its systems have to spare."""
    from wrapper import migrating
    from wrapper import sweep as sweeping
    from wrapper.migration.asked import comparable

    here = office(catalogue, state)
    operation = migrating.endpoint(here, endpoint)
    if not comparable(operation):
        raise click.ClickException(f"{endpoint} can't be compared: it takes two sides, both of which may be read twice")
    try:
        rows = sweeping.keys(file.read(), [param.field.name for param in operation.params])
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name} is not UTF-8") from None
    rows = list(sweeping.after(rows, after) if after is not None else rows)
    hours = sweeping.window(window) if window else None
    caller = _sweeper(operation)
    before = [(ends, signal.signal(ends, _interrupted)) for ends in (signal.SIGTERM, signal.SIGHUP)]
    try:
        with recording(here.store, "migrate sweep", about=endpoint, of=caller.name):
            key = here.store.issue(caller)
        facade = sweeping.Facade(url, endpoint, key, next(iter(sorted(caller.purposes)), ""))
        run = sweeping.Sweep(facade, rows, at_once, hours)
        try:
            with suppress(KeyboardInterrupt):
                run.run(_progress)
        finally:
            _summary(run.summary)
    finally:
        for ends, heard in before:
            signal.signal(ends, heard)
        _revoke(here.store, caller)
    sys.exit(0 if not run.summary.unasked else 130)


def _sweeper(operation: Operation) -> Caller:
    """Who asks: may compare this endpoint for every key, and nothing else."""
    from wrapper.policy.keys import ANY, Caller

    scopes = frozenset({"migration:sweep", *filter(None, [operation.auth.scope])})
    claims = {rule.claim: frozenset({ANY}) for rule in operation.auth.object.values() if rule.claim}
    return Caller(f"sweep-{secrets.token_hex(4)}", scopes, frozenset(operation.auth.purposes), claims)


def _revoke(store: Store, caller: Caller) -> None:
    from wrapper.problems import NotReady

    try:
        store.revoke(caller.name)
    except NotReady as error:
        click.echo(f"the sweep's own key is still good, since {error}: `figway key revoke {caller.name}`", err=True)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _progress(so_far: Summary) -> None:
    waits = [
        f"the window is closed until {so_far.opens}" if so_far.opens else "",
        f"{so_far.waited} times busy" if so_far.waited else "",
        f"the facade can't be reached ({so_far.lost}), tried for {so_far.left:.0f} s more" if so_far.lost else "",
    ]
    click.echo(f"{_counts(so_far)}, {'; '.join([f'{so_far.unasked} to go', *filter(None, waits)])}", err=True)


def _counts(told: Summary) -> str:
    return ", ".join(
        [f"{sum(told.outcomes.values())} asked", *(f"{number} {outcome}" for outcome, number in sorted(told.outcomes.items()))]
    )


def _summary(told: Summary) -> None:
    click.echo(f"{_counts(told)}, {told.unasked} unasked")
    for reason, number in told.reasons.most_common(20):
        click.echo(f"  {number} {reason}")
    if told.unasked and told.after:
        click.echo(f"go on with --after {told.after}")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} can't be written: {error.strerror}") from None
    click.echo(str(file))


def _document(report: Mapping[str, Any]) -> Iterator[str]:
    for name in ("endpoint", "from", "to", "who", "second", "ticket", "why", "at"):
        yield f"{name}: {report.get(name) or '-'}"


def _samples(data: Mapping[str, Any]) -> Iterator[str]:
    for kind in data["kinds"]:
        yield f"{kind['kind']}: {kind['count']} time{'' if kind['count'] == 1 else 's'}"
        for one in kind["samples"]:
            accepts = f"; accepted by {one['rule']}" if one.get("rule") else ""
            shown = (json.dumps(one.get(side), ensure_ascii=False) for side in ("control", "candidate"))
            asked = f" (request {one['request_id']})" if one.get("request_id") else ""
            yield f"  {one['at']} {one['where']}: {' against '.join(shown)}{accepts}{asked}"


def _rules(data: Mapping[str, Any]) -> Iterator[str]:
    for kind, rule in data["for"].items():
        yield f"# {kind}: {rule}"
    yield data["compare"] if data["new"] else "# nothing that looks like noise was met"
    if data["new"]:
        yield f"# {data['note']}"


COMMANDS = (samples, rules, report, verify, public_key, callers, burndown, sweep)
