"""The commands about the audit trail: `figway audit`."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from wrapper.cli_state import STATE, account, listed, opened, recording, settings_of
from wrapper.settings import Settings
from wrapper.state.store import folder_of

if TYPE_CHECKING:
    from wrapper.audit.verify import Verified
    from wrapper.subjects import Subject

MANY = 10_000  # people in a file


@click.group()
def audit() -> None:
    """The audit trail: verify it, look at it, anchor and purge it."""


@audit.command("key")
@click.argument("file", type=click.Path(dir_okay=False))
def new_key(file: str) -> None:
    """Make the key that anchors are signed with, FILE, and FILE.pub to verify them. Keep FILE away from store and trail."""
    from wrapper.audit import signing

    click.echo(signing.make_key(Path(file)))


@audit.command("verify")
@click.option("--anchor", type=click.Path(dir_okay=False, exists=True), help="The anchor file (FIGWAY_AUDIT_ANCHOR).")
@click.option("--public", type=click.Path(dir_okay=False, exists=True), help="The public key; left out, that of FIGWAY_AUDIT_KEY.")
@STATE
def verify(anchor: str | None, public: str | None, state: str | None) -> None:
    """Whether all is as it was written: exit 1, and the place, when anything was changed, taken out, moved, cut off or added."""
    from wrapper.audit import anchor as anchors
    from wrapper.audit import verify as verifying
    from wrapper.audit.follow import Fault

    settings, began = settings_of(state, audit_anchor=anchor), time.monotonic()
    key = anchors.public_of(Path(public) if public else None, settings.audit_key)
    known = anchors.Anchors(settings.audit_anchor, key) if settings.audit_anchor is not None else None
    found = list[verifying.Verified]()
    try:
        for each in verifying.verify(_folder(settings), known, key):
            found.append(each)
            _tell(each)
    except (Fault, OSError) as error:
        raise click.ClickException(f"the anchors: {error}") from None
    faults = sum(each.fault is not None for each in found)
    for line in _limits(found, known, key is not None):
        click.echo(line)
    records, seconds = sum(each.records for each in found), time.monotonic() - began
    said = f"{faults} writer{'s' if faults > 1 else ''} at fault" if faults else "no fault"
    click.echo(f"audit: {records} records of {len(found)} writers in {seconds:.1f} s, {said}")
    sys.exit(1 if faults else 0)


def _tell(each: Verified) -> None:
    gone = f", {each.purged} purged" if each.purged else ""
    torn = f", and {each.head.torn.split()[0]} bytes of one that was cut short, which nobody was told of" if each.head.torn else ""
    click.echo(f"{each.writer}: {each.records} records{gone}{torn}")
    if each.fault is not None:
        click.echo(str(each.fault))


def _limits(found: Sequence[Verified], known: Any, signed: bool) -> Iterator[str]:
    """What this verification can't tell."""
    if known is None:
        from wrapper.audit.anchor import NOTHING

        yield NOTHING
        return
    if not signed:
        yield "no public key: whether the anchors and tombstones are genuine was not looked at; give --public"
    for each in found:
        if each.waiting > 0:
            seconds = time.time() - datetime.fromisoformat(each.since).timestamp() if each.since else 0.0
            yield f"not yet anchored: {each.waiting} records of {each.writer}, the oldest {seconds:.0f} s old"
    yield f"anchored up to {known.at}, by {known.n} anchors"


@audit.command("anchor")
@STATE
def anchor_now(state: str | None) -> None:
    """Anchor what there is now; `serve` does so every 10 seconds."""
    from wrapper.audit.anchor import NOTHING, anchoring
    from wrapper.audit.follow import Fault

    settings = settings_of(state)
    made = anchoring(settings, _beside(settings))
    if made is None:
        raise click.ClickException(NOTHING)
    try:
        faults = made.turn()
    except (Fault, OSError) as error:
        raise click.ClickException(f"nothing was anchored: {error}") from None
    for fault in faults:
        click.echo(str(fault), err=True)
    sys.exit(1 if faults else 0)


@audit.command("purge")
@click.option("--before", required=True, help="A day, like 2026-01-31: what was recorded before it goes, as far as whole segments do.")
@click.option("--why", required=True, help="Kept in the tombstones.")
@STATE
def purge(before: str, why: str, state: str | None) -> None:
    """Take away segments that are closed and of before a day; signed tombstones stay, across which the rest verifies."""
    from wrapper.audit.anchor import anchoring
    from wrapper.audit.follow import Fault
    from wrapper.audit.purge import purge as purged

    try:
        datetime.strptime(before, "%Y-%m-%d")
    except ValueError:
        raise click.UsageError(f"--before must be a day like 2026-01-31, met {before!r}") from None
    settings = settings_of(state)
    with closing(opened(state)) as store, recording(store, "audit purge", before=before, why=why):
        try:
            gone = purged(_folder(settings), before, account(), why, anchoring(settings, _beside(settings)))
        except Fault as fault:
            raise click.ClickException(f"nothing more is purged, since the trail is not sound: {fault}") from None
    click.echo(f"{gone} purged")


@audit.command("show")
@click.option("--who", help="A caller, or who acted; by a bare name those of every issuer and tenant.")
@click.option("--operation", help="An endpoint.")
@click.option("--subject", metavar="KIND=VALUE", help="A person: customer=0000012345.")
@click.option(
    "--subjects", type=click.File(encoding="utf-8"), help="A file of people, KIND=VALUE in each line: each record says whose it is."
)
@click.option("--tenant", default="", help="Whose customer that is, where there are several tenants.")
@click.option("--since", default="", help="A day or a moment, like 2026-01-31 or 2026-01-31T12:00 (UTC).")
@STATE
def show(
    who: str | None, operation: str | None, subject: str | None, subjects: TextIO | None, tenant: str, since: str, state: str | None
) -> None:
    """Print records as JSON lines, writer by writer. That you looked is on record, with whom you looked for: as tokens."""
    from wrapper.audit import show as shown

    people = [subject] if subject is not None else [] if subjects is None else _people(subjects)
    asked = [_subject(person, tenant) for person in people]
    if not re.fullmatch(r"(\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?)?", since):
        raise click.UsageError(f"--since must be like 2026-01-31, or 2026-01-31T12:00 (UTC), met {since!r}")
    about = {name: said for name, said in {"of": who, "op": operation, "since": since}.items() if said}
    with closing(opened(state)) as store:
        whose = {token: f"{one.kind}={one.value}" for one in asked for token in shown.tokens(store.subject_keys, one)}
        with recording(store, "audit show", **about, **({"subjects": [*whose]} if asked else {})):
            found = shown.records(_folder(settings_of(state)), who, operation, whose if asked else None, since)
            listed([json.dumps(_named(record, whose) if subjects else record) for record in found], "no records")


def _people(file: TextIO) -> list[str]:
    """Those whom a file names: at most so many as one record of the trail can tell of."""
    people = [line.strip() for line in file if line.strip()]
    if not 0 < len(people) <= MANY:
        raise click.UsageError(f"--subjects must have 1 to {MANY} lines, met {len(people)}")
    return people


def _subject(said: str, tenant: str) -> Subject:
    from wrapper.subjects import Subject

    kind, equals, value = said.partition("=")
    if not (kind and equals and value):
        raise click.UsageError("a person must be given like customer=0000012345, and one was not")
    return Subject(kind, value, tenant)


def _named(record: dict[str, Any], whose: Mapping[str, str]) -> dict[str, Any]:
    return {"whose": sorted({whose[token] for token in record["subjects"] if token in whose}), **record}


def _beside(settings: Settings) -> Path:
    return folder_of(settings.state, settings.state_key)


def _folder(settings: Settings) -> Path:
    from wrapper.audit import anchor

    return anchor.folder(settings, _beside(settings))
