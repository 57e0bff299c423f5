"""`figway demo migration`: one endpoint goes from legacy to retired, under live traffic and on evidence.

The story only: each scene says what happens, does it with the commands that a person would type, and holds what comes of it against what
is expected. What it is told and done with is in walk.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path

import click

from wrapper import demo_traffic, tour
from wrapper.children import child, pause, wait
from wrapper.demo_traffic import Call
from wrapper.migration.decide import Standing, decide
from wrapper.migration.facts import NOTHING, Facts
from wrapper.policy.keys import Caller
from wrapper.settings import Settings, as_environment
from wrapper.state.store import Store
from wrapper.walk import NotAsExpected, Walk

NAME, GROUP = "accounts.list", "retail-customer"
PEOPLE, BATCH = "claims-ui", "batch-recon"
CALLERS = (
    *tour.CALLERS[:1],
    *(Caller(name, frozenset({"accounts:read"}), frozenset({"servicing"}), {"customer": frozenset({"*"})}) for name in (PEOPLE, BATCH)),
)
EVERY = 0.25  # seconds between the calls of one thread
THREADS = {PEOPLE: 2, BATCH: 1}
SWEPT = 400  # customers; with those that call meanwhile it is what a gate of 99 % takes
SETTLED = 1.0  # seconds in which a move reaches every worker
STEP = 5  # every so many-th customer meets the mistakes of the modern service
ANNA, BEN = ("--by", "anna"), ("--by", "ben")


def take(settings: Settings, address: tuple[str, int], keys: Mapping[str, str], folder: Path) -> tuple[bool, str]:
    """All scenes, up to what is not as expected: whether all was, and the last line."""
    calls, job = folder / "calls", folder / "callers.json"
    consumers = {name: {"key": keys[name], "threads": threads} for name, threads in THREADS.items()}
    job.write_text(json.dumps({"address": address, "every": EVERY, "consumers": consumers}), encoding="utf-8")
    walk = Walk(settings, address, folder, keys, calls)
    walk.switch("1", rounding=True, every=STEP)
    click.echo("What follows takes about two minutes. Each line with a $ is a command that you could type.")
    with ExitStack() as running:
        with (folder / "callers.log").open("wb") as said:
            callers = child("wrapper.demo_traffic", [str(job), str(calls)], as_environment(settings), said, running)
        wait(lambda: calls.exists() and bool(walk.calls()), callers, folder / "callers.log", "the callers")
        store = running.enter_context(closing(Store(settings.state, settings.state_key, there=True)))
        try:
            for scene in (_legacy, _shadow, _mended, _proven, _canary, _regression, _modern, _killed, _retired, _report):
                scene(walk, store)
        except NotAsExpected as error:
            return False, f"migration: NOT as expected: {error}"
    return True, "migration: as expected"


def _legacy(walk: Walk, store: Store) -> None:
    walk.title("Legacy: two callers ask for customers' accounts all the time, and the mainframe answers")
    walk.say("A new accounts service is there, too. Its builders believe that it does the same. Nothing goes there yet.")
    walk.figway("migrate", "status", NAME)
    heard = walk.listen(2)
    walk.expect(_all(heard, "legacy"), "every answer comes from legacy")


def _shadow(walk: Walk, store: Store) -> None:
    walk.title("Shadow: legacy answers, the new service is asked as well, and the two answers are compared off the request")
    walk.figway("migrate", "promote", NAME, "--to", "shadow", "--why", "compare first", *ANNA)
    walk.until(lambda: _facts(store).seen.differed >= 4, 20)
    heard = walk.listen(3)
    walk.expect(_all(heard, "legacy"), "callers get legacy's answers, whatever the new service says")
    walk.say("There is a difference. Its kind and where it is, with masked values of both sides:")
    walk.figway("migrate", "samples", NAME, most=6)
    walk.figway("migrate", "status", NAME)
    told = walk.figway("migrate", "promote", NAME, "--to", "canary", "--share", "10%", "--ticket", "CHG-1", *ANNA, fails=True)
    walk.expect("parity" in told, "a canary is refused: too many keys differ")


def _mended(walk: Walk, store: Store) -> None:
    walk.title("Mended: the new service rounded balances; its build 2 does not. What build 1 has shown counts no more, good or bad")
    walk.switch("2")
    walk.until(lambda: _facts(store).epoch.build == "2" and _facts(store).seen.keys >= 20, 20)
    told = walk.figway("migrate", "status", NAME)
    walk.expect("began anew" in told, "evidence began at zero with the new build")
    walk.expect(_facts(store).seen.differed == 0, f"of build 2's {_facts(store).seen.keys} customers none differs")


def _proven(walk: Walk, store: Store) -> None:
    walk.title(f"A sweep: {SWEPT} customers of a file are compared now, within what the mainframe has to spare")
    _sweep(walk, store, "2")


def _canary(walk: Walk, store: Store) -> None:
    walk.title("Canary: one person proposes, another approves; modern answers for 10 % of the customers, always the same ones")
    ask = ("migrate", "promote", NAME, "--to", "canary")
    walk.figway(*ask, "--share", "10%", "--consumer", f"{BATCH}=0%", "--ticket", "CHG-2", "--why", "build 2 is proven", *ANNA)
    told = walk.figway("migrate", "approve", NAME, *ANNA, fails=True)
    walk.expect("another person" in told, "who proposes can't approve")
    walk.figway("migrate", "approve", NAME, *BEN)
    _placed(walk, "0.1")
    walk.say("Then for half of them. The batch job stays at legacy, as was said of it.")
    _by_two(walk, "--to", "canary", "--share", "50%", ticket="CHG-3")
    _placed(walk, "0.5")


def _regression(walk: Walk, store: Store) -> None:
    walk.title(f"A regression: build 3 fails for every {STEP}th customer. Nobody is told; nobody does anything")
    before = {call.customer for call in walk.calls() if call.side == "modern" and call.status == 200}
    began = time.monotonic()
    walk.switch("3", error=500, every=STEP)
    back = walk.until(lambda: _stage(store) == "shadow", 60)
    took = time.monotonic() - began
    walk.expect(back, f"it went back by itself, {took:.1f} s after the build came")
    walk.listen(SETTLED + 1)
    hit = walk.calls(began)
    failed = [call for call in hit if call.status >= 500 or call.status == 0]
    last = max((call.began for call in hit if call.side == "modern"), default=began)
    walk.figway("migrate", "history", NAME, "--limit", "1")
    walk.expect(last - began <= took + SETTLED, f"the last caller that modern answered asked {last - began:.1f} s after the build came")
    errors = "1 error" if len(failed) == 1 else f"{len(failed) or 'no'} errors"
    walk.say(f"Meanwhile callers met {errors} in {len(hit)} calls. What legacy answers is compared, too.")
    again = [walk.ask(customer, PEOPLE)[2] for customer in sorted(before)[:10]]
    walk.expect(
        all(demo_traffic.side_of(body) == "legacy" for body in again),
        f"{len(again)} customers whom modern had answered are back on legacy, too",
    )


def _modern(walk: Walk, store: Store) -> None:
    walk.title("Mended again: build 4. Evidence begins at zero, the sweep brings it, and this time it goes all the way to modern")
    walk.switch("4")
    walk.until(lambda: _facts(store).epoch.build == "4", 20)
    _sweep(walk, store, "4")
    _by_two(walk, "--to", "canary", "--share", "50%", ticket="CHG-4")
    _by_two(walk, "--to", "modern", ticket="CHG-5")
    pause(SETTLED)
    before = _equal(store)
    heard = walk.listen(3)
    walk.expect(_all(heard, "modern"), "every answer comes from modern")
    walk.until(lambda: _equal(store) > before, 5)
    now = _equal(store) - before
    walk.expect(now > 0, f"legacy is still asked for a sample of them: {now:.0f} were compared in this time")


def _killed(walk: Walk, store: Store) -> None:
    walk.title("The kill switch: one person, no gates, at any time")
    typed = time.monotonic()
    walk.figway("migrate", "kill", NAME, "--why", "drill", *BEN)
    done = time.monotonic()
    heard = walk.listen(SETTLED + 1)
    last = max((call.began for call in walk.calls(typed) if call.side == "modern"), default=typed)
    late = f"{last - typed:.1f} s after the command was typed, which took {done - typed:.1f} s"
    walk.expect(last - done <= SETTLED, f"the last request that modern answered was asked {late}")
    walk.expect(bool(heard) and heard[-1].side == "legacy", "everything comes from legacy again")
    walk.say("It was a drill. The evidence still holds, so back it goes, stage by stage.")
    walk.figway("migrate", "promote", NAME, "--to", "shadow", "--why", "the drill is over", *ANNA)
    _by_two(walk, "--to", "canary", "--share", "50%", ticket="CHG-6")
    _by_two(walk, "--to", "modern", ticket="CHG-6")


def _retired(walk: Walk, store: Store) -> None:
    walk.title("Retired: the endpoint itself has a successor. Who still calls, and what is left of the whole migration?")
    pause(SETTLED)
    walk.figway("migrate", "callers", NAME)
    walk.figway("migrate", "burndown", most=24)
    status, headers, _ = walk.ask(f"{demo_traffic.BUSY:010d}", PEOPLE)
    _announced(walk, headers)
    walk.expect(status == 200 and "sunset" in headers, "it still answers, and each answer says until when and what comes after it")
    walk.say("For a real endpoint two people would wait for the sunset; the demo does not.")
    _by_two(walk, "--to", "retired", "--why", "it has a successor", ticket="CHG-7")
    pause(SETTLED)
    status, headers, body = walk.ask(f"{demo_traffic.BUSY:010d}", PEOPLE)
    walk.say(f"{status} {body.get('title')}: {body.get('detail')}")
    _announced(walk, headers)
    walk.expect(status == 410 and "successor-version" in headers.get("link", ""), "410, with the way to the successor")


def _report(walk: Walk, store: Store) -> None:
    walk.title("The evidence: every promotion has a signed report")
    text, page, false = (walk.folder / name for name in ("report.json", "report.html", "false.json"))
    walk.figway("migrate", "history", NAME, most=16)
    walk.figway("migrate", "report", NAME, "--json", str(text), "--html", str(page))
    told = walk.figway("migrate", "verify", str(text), most=16)
    walk.expect("as it was signed" in told, "it is as it was signed")
    signed = text.read_text(encoding="utf-8")
    false.write_text(signed.replace("anna", "anne", 1), encoding="utf-8")
    walk.say("Somebody writes another name into it, of which one letter differs:")
    told = walk.figway("migrate", "verify", str(false), fails=True)
    walk.expect("not as it was signed" in told, "that is found out")


def _by_two(walk: Walk, *to: str, ticket: str) -> None:
    walk.figway("migrate", "promote", NAME, *to, "--ticket", ticket, *ANNA)
    walk.figway("migrate", "approve", NAME, *BEN)


def _sweep(walk: Walk, store: Store, build: str) -> None:
    """Until everything is shown that is asked for."""
    file = walk.folder / "customers.txt"
    customers = demo_traffic.CUSTOMERS[:: len(demo_traffic.CUSTOMERS) // SWEPT][:SWEPT]
    file.write_text("\n".join(f"{number:010d}" for number in customers), encoding="utf-8")
    walk.figway("migrate", "sweep", NAME, "--keys", str(file), "--url", walk.url, most=5)
    ready = walk.until(lambda: "nothing is missing" in walk.figway("migrate", "status", NAME, shown=False), 20)
    walk.figway("migrate", "status", NAME)
    seen = _facts(store).seen
    walk.expect(ready, f"build {build} is proven: {seen.keys} customers compared, {seen.differed} differ, and nothing else is missing")


def _placed(walk: Walk, share: str) -> None:
    """Whether each caller is where share, key and consumer put it, measured on live traffic."""
    pause(SETTLED)
    heard = walk.listen(3)
    standing = Standing("canary", Decimal(share), {BATCH: Decimal(0)})
    astray = [call for call in heard if call.side != decide(standing, GROUP, call.customer, call.consumer).side]
    walk.expect(not astray, f"each of {len(heard)} answers comes from the side where its customer belongs")


def _announced(walk: Walk, headers: Mapping[str, str]) -> None:
    for name in ("deprecation", "sunset", "link"):
        walk.say(f"  {name.capitalize()}: {headers.get(name, 'is not said')}")


def _all(calls: list[Call], side: str) -> bool:
    return bool(calls) and all(call.side == side and call.status in (200, 404) for call in calls)


def _stage(store: Store) -> str:
    return move.standing.stage if (move := store.standings()[1].get(NAME)) is not None else "legacy"


def _facts(store: Store) -> Facts:
    return store.facts(NAME) or NOTHING


def _equal(store: Store) -> float:
    return _facts(store).counts.get("equal", 0.0)
