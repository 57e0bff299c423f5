"""The `figway` command. Every subcommand is a thin face of a module; `demo` and `test` are prepared by the launcher at the root.

A subcommand imports what it needs: `serve` starts gunicorn's own imports before those of its supervisor.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from adapters.errors import AdapterError
from scoring.errors import ScoringError
from wrapper import cli_migrate_evidence, cli_migrate_kill
from wrapper.cli_audit import audit
from wrapper.cli_decision import decision
from wrapper.cli_issuer import client, issuer, person
from wrapper.cli_keys import key
from wrapper.cli_migrate import migrate
from wrapper.cli_model import model
from wrapper.cli_state import CATALOGUE, STATE, account, lease, listed, opened, quota, state, writes
from wrapper.cli_subject import subject, token
from wrapper.problems import NotPossible, RequestError
from wrapper.settings import BadSettings, Settings, from_environment
from wrapper.state.database import BadStore


class _Group(click.Group):
    """Errors that a person can act on are one line and exit 1, not a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            faults = _faults(error)
            if not faults:
                raise
            for fault in faults:
                click.echo(fault, err=True)
            sys.exit(1)


def _faults(error: Exception) -> Sequence[str]:
    """What a person can act on, in a line each; none when it is no error of that kind."""
    if isinstance(error, NotPossible):
        return [f"figway: {error.said}", *(f"  {reason}" for reason in error.reasons)]
    if isinstance(error, BadSettings | BadStore | ScoringError | AdapterError | RequestError):
        return [f"figway: {error}"]
    if "wrapper.catalogue" in sys.modules:  # else none was ever read
        from wrapper.catalogue import CatalogueError

        if isinstance(error, CatalogueError):
            return [str(fault) for fault in error.faults]
    return []


@click.group(cls=_Group, epilog="The launcher ./figway has three more: test [PYTEST ARGS], lint, and setup [run|test].")
def figway() -> None:
    """The strangler-fig front door to legacy systems."""


@figway.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.option("--live", "ask", is_flag=True, help="Ask the back ends each endpoint's examples and compare.")
@click.option("--writes", is_flag=True, help="With --live: also the examples that write.")
@STATE
def check(folder: str, ask: bool, writes: bool, state: str | None) -> None:
    """Check a catalogue: every fault as file:line: message, exit 1."""
    from wrapper import catalogue as catalogues
    from wrapper import shares

    settings = from_environment(catalogue=folder, state=state)
    faults, notes = catalogues.check(settings.catalogue, settings.models)
    for line in [*notes, *faults]:
        click.echo(f"{folder.rstrip('/')}/{line}")
    if faults:
        click.echo(f"{len(faults)} fault{'s' if len(faults) > 1 else ''}")
        sys.exit(1)
    loaded = catalogues.load(settings.catalogue, settings.models)
    for row in shares.table(loaded, settings):
        click.echo(row, err=True)
    click.echo(f"{folder}: {len(loaded.operations)} endpoints, no faults")
    if ask and not _check_live(settings, writes):
        sys.exit(1)


def _check_live(settings: Settings, writes: bool) -> bool:
    from wrapper import live

    parts = _assemble(settings)
    wrong = asked = 0
    try:
        for outcome in live.run(parts.service, writes, account()):
            said = "skipped: it writes (--writes)" if outcome.skipped else outcome.wrong or "as expected"
            click.echo(f"{outcome.file}:{outcome.line}: {outcome.operation}: {said} ({outcome.elapsed * 1000:.0f} ms)")
            asked += not outcome.skipped
            wrong += bool(outcome.wrong)
    finally:
        parts.close()
    click.echo(f"examples: {asked - wrong} of {asked} as expected")
    return not wrong


@figway.command()
@CATALOGUE
def routes(catalogue: str | None) -> None:
    """List the endpoints: method, path, name, effect, where each side lives; then who may call, for what, about whom."""
    from wrapper import catalogue as catalogues

    settings = from_environment(catalogue=catalogue)
    for op in catalogues.load(settings.catalogue, settings.models).operations.values():
        legacy = op.legacy.system if op.legacy else "join of " + ", ".join(p.operation for p in op.parts)
        modern = f" -> {op.modern.system}" if op.modern else ""
        whom = [f"{name}={rule.may or (f'claim:{rule.claim}' if rule.claim else 'any')}" for name, rule in op.auth.object.items()]
        may = " ".join([op.auth.scope or "any caller", *(f"for:{purpose}" for purpose in op.auth.purposes), *whom])
        click.echo(f"{op.method:6} {op.path:45} {op.name:20} {op.effect:10} {legacy + modern:25} {may}")


@figway.command()
def schema() -> None:
    """Print the JSON Schema of the catalogue's files, for editors."""
    from wrapper import catalogue as catalogues

    click.echo(json.dumps(catalogues.json_schema(), indent=2))


@figway.command()
@click.argument("endpoint")
@click.argument("values", nargs=-1)
@click.option("--side", type=click.Choice(["legacy", "modern"]), help="As a tester; left out, the side where its stage sends it.")
@click.option("--wait", default=0.0, help="Seconds to wait for a deferred answer.")
@CATALOGUE
@STATE
def call(endpoint: str, values: Sequence[str], side: str | None, wait: float, catalogue: str | None, state: str | None) -> None:
    """Call one endpoint without HTTP: name=value for text, name:=JSON for anything else."""
    from wrapper import live

    settings = from_environment(catalogue=catalogue, state=state)
    parts = _assemble(settings)
    stop, worker = threading.Event(), None
    try:
        operation = parts.catalogue.operations.get(endpoint)
        if operation is None:
            raise click.ClickException(f"there is no endpoint {endpoint}; `figway routes` lists them")
        if operation.legacy is not None and operation.legacy.deferred:
            worker = threading.Thread(target=parts.runner().run, args=(stop,), daemon=True)
            worker.start()
        answer = live.ask(parts.service, operation, _values(values), account(), wanted=side, wait=wait)
    finally:
        stop.set()
        if worker is not None:
            worker.join(60)  # a drop that it has begun is finished, or noted as begun, before its connections are closed
        parts.close()
    click.echo(json.dumps(answer.body, indent=2, ensure_ascii=False))
    sys.exit(0 if answer.status < 400 else 1)


def _values(pairs: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"'{pair}' is not name=value or name:=JSON")
        if name.removesuffix(":") in made:
            raise click.UsageError(f"'{name.removesuffix(':')}' is given twice")
        try:
            made[name.removesuffix(":")] = json.loads(value) if name.endswith(":") else value
        except json.JSONDecodeError as error:
            raise click.UsageError(f"'{name}' is not JSON: {error.msg}") from None
    return made


@figway.command()
@CATALOGUE
@STATE
@click.option("--bind", help="HOST:PORT (FIGWAY_BIND; default 127.0.0.1:8080).")
@click.option(
    "--server", help="gunicorn, or granian, an extra: faster, but it needs a proxy that buffers (FIGWAY_SERVER; default gunicorn)."
)
@click.option("--workers", type=int, help="Worker processes (FIGWAY_WORKERS; default 1).")
@click.option("--threads", type=int, help="Threads a worker (FIGWAY_THREADS; default 32); 8 of them are kept for health.")
@click.option("--admin-bind", help="HOST:PORT of a listener for health, metrics and administration (FIGWAY_ADMIN_BIND; default none).")
@click.option("--patience", type=int, help="Seconds that a caller may take for a body or an answer (FIGWAY_PATIENCE; default 10).")
def serve(**given: Any) -> None:
    """Serve a catalogue: a web server and one job worker. TERM stops gracefully, HUP loads the catalogue anew when it has no fault.

    Under gunicorn no request fails at HUP, and no caller that stalls holds a thread. Under granian, an extra that needs less CPU, a caller
    that stalls in its body holds one, and now and then a new connection is closed at HUP: put a proxy in front that buffers and repeats.
    """
    from wrapper import log, server

    settings = from_environment(**given)
    log.configure(settings.log_level)
    sys.exit(server.serve(settings))


@figway.group()
def jobs() -> None:
    """Deferred requests."""


@jobs.command("list")
@click.option("--limit", default=50, show_default=True)
@STATE
def list_jobs(limit: int, state: str | None) -> None:
    """List jobs, the newest first: id, state, last step, attempts, endpoint, caller."""
    found = opened(state).jobs(limit)
    listed([f"{job.id} {job.state:10} {job.step or '-':12} {job.attempts} {job.operation} {job.caller}" for job in found], "no jobs")


@jobs.command("work")
@CATALOGUE
@STATE
def work(catalogue: str | None, state: str | None) -> None:
    """Run the job worker in the foreground; `serve` does this by itself. What it says is its log, also why it can't start."""
    from wrapper import log
    from wrapper.audit.follow import Fault

    try:
        parts = _assemble(from_environment(catalogue=catalogue, state=state), patient=True)
    except Exception as error:  # noqa: BLE001 - it is told
        for fault in _faults(error) or [""]:
            log.get().error("worker", outcome="not started", fault=fault, exc_info=error)
        sys.exit(1)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        parts.runner().run(stop)
    finally:
        parts.close()
        with suppress(OSError, Fault):  # that anchors can't be written was told while it ran
            if (anchor := parts.anchor()) is not None:
                anchor.turn()  # our own end too


@figway.command()
@click.argument("show", type=click.Choice(["tour", "migration"]), default="tour")
@click.option("--once", is_flag=True, help="Stop after that: exit 0 when everything was as expected.")
@click.option("--bind", default="127.0.0.1:8080", show_default=True)
def demo(show: str, once: bool, bind: str) -> None:
    """On the embedded estate: a tour of calls (tour), or an endpoint's way from legacy to modern (migration); then it serves on."""
    from wrapper import demo as shown

    sys.exit(shown.run(once, bind, show))


def occupy_standard_streams() -> None:
    """Who starts us without standard streams must not have what we say in whatever is opened next and gets their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free


def _assemble(settings: Settings, patient: bool = False) -> Any:
    from wrapper import assembly, log

    log.configure(settings.log_level if "FIGWAY_LOG_LEVEL" in settings.environ else "warning")
    return assembly.assemble(settings, patient)


for command in (*cli_migrate_evidence.COMMANDS, *cli_migrate_kill.COMMANDS):
    migrate.add_command(command)
for group in (audit, client, decision, issuer, key, lease, migrate, model, person, quota, state, subject, token, writes):
    figway.add_command(group)


if __name__ == "__main__":
    occupy_standard_streams()
    figway(prog_name="figway")
