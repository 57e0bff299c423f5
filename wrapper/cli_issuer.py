"""The commands about the embedded issuer: its clients, its people, its signing key."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wrapper.cli_keys import caller, rights, told
from wrapper.cli_state import STATE, listed, opened, recording

if TYPE_CHECKING:
    from wrapper.state.issuer import Client

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def client() -> None:
    """Programs that get tokens from the embedded issuer."""


@client.command("add")
@click.argument("name")
@click.option("--jwk", type=_FILE, help="It signs assertions: the file of its public key, a JWK (private_key_jwt).")
@click.option("--certificate", type=_FILE, help="It has a certificate: the file, PEM or DER (self_signed_tls_client_auth).")
@click.option("--public", is_flag=True, help="It can't keep a secret: an app for people, with PKCE and a --redirect.")
@click.option("--redirect", "redirects", multiple=True, metavar="URI", help="Where people may be sent back to, to the letter.")
@rights
@STATE
def add_client(
    name: str, jwk: Path | None, certificate: Path | None, public: bool, redirects: Sequence[str], state: str | None, **given: Any
) -> None:
    """Register a client, by one of --jwk, --certificate and --public. No token of its holds more than what is said here."""
    from wrapper.issuer import proofs
    from wrapper.state.issuer import Client

    who = caller(name, **given)
    if sum((jwk is not None, certificate is not None, public)) != 1:
        raise click.UsageError("give one of --jwk, --certificate and --public")
    if public and not redirects:
        raise click.UsageError("--public needs a --redirect: such a client gets tokens only for people")
    proof, material = _proof(jwk, certificate)
    made = Client(who, proof, material, tuple(proofs.redirect(uri) for uri in dict.fromkeys(redirects)))
    store = opened(state, there=False)
    with recording(store, "client add", of=who.principal, may=told(who, record=True)):
        store.add_client(made)
    click.echo(f"{name} is registered")


def _proof(jwk: Path | None, certificate: Path | None) -> tuple[str, str]:
    from wrapper.issuer import proofs

    if jwk is not None:
        return "key", proofs.public_jwk(jwk.read_bytes())
    if certificate is not None:
        return "certificate", proofs.fingerprint(certificate.read_bytes())
    return "none", ""


@client.command("list")
@STATE
def list_clients(state: str | None) -> None:
    """List clients: name, how each shows who it is, what its tokens may hold, where people are sent back to."""
    listed([_line(client) for client in opened(state).clients()], "no clients")


def _line(client: Client) -> str:
    return " ".join([f"{client.caller.name:20} {client.proof:11}", told(client.caller), *client.redirects]).rstrip()


@client.command("remove")
@click.argument("name")
@STATE
def remove_client(name: str, state: str | None) -> None:
    """Remove NAME; nobody stays signed in by it. Its last access tokens end within minutes."""
    store = opened(state)
    with recording(store, "client remove", of=name):
        _removed(store.remove_client(name), name)


@click.group()
def person() -> None:
    """People who sign in with the embedded issuer."""


@person.command("add")
@click.argument("name")
@rights
@STATE
def add_person(name: str, state: str | None, **given: Any) -> None:
    """Register a person. The password is asked for at the terminal, or read from standard input."""
    from wrapper.issuer import passwords
    from wrapper.state.issuer import Person

    who = caller(name, **given)
    asked = sys.stdin.isatty()
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True) if asked else sys.stdin.readline().rstrip("\r\n")
    store = opened(state, there=False)
    with recording(store, "person add", of=who.principal, may=told(who, record=True)):
        store.add_person(Person(who, passwords.new(password)))
    click.echo(f"{name} is registered")


@person.command("list")
@STATE
def list_people(state: str | None) -> None:
    """List people: name, and what tokens in their name may hold."""
    listed([f"{person.caller.name:20} {told(person.caller)}".rstrip() for person in opened(state).people()], "no people")


@person.command("remove")
@click.argument("name")
@STATE
def remove_person(name: str, state: str | None) -> None:
    """Remove NAME, and sign them out everywhere. Their last access tokens end within minutes."""
    store = opened(state)
    with recording(store, "person remove", of=name):
        _removed(store.remove_person(name), name)


def _removed(there: bool, name: str) -> None:
    if not there:
        raise click.ClickException(f"there is no {name}")
    click.echo(f"{name} is removed")


@click.group()
def issuer() -> None:
    """The embedded issuer itself."""


@issuer.command("rotate")
@click.option("--at-once", is_flag=True, help="The old key is known to others: publish it no more. Workers forget it at HUP.")
@STATE
def rotate(at_once: bool, state: str | None) -> None:
    """Sign with a new key from now on. The old one is published for a day more: longer than its tokens hold."""
    from wrapper.issuer.minting import signing_key
    from wrapper.state.issuer import RETIRED

    store = opened(state)
    with recording(store, "issuer rotate", at_once=at_once):
        store.add_signing_key(signing_key(), retired=0.0 if at_once else RETIRED)
    click.echo("tokens are signed with a new key")
    if at_once:
        click.echo("the old one is published no more; send HUP to every `figway serve`, which may believe it for five minutes else")
    else:
        click.echo("the old one is published for a day more; when others know it: --at-once")
