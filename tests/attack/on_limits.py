"""How much and from where: floods of guesses, a model's answers drawn out one by one, addresses that callers only claim."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.attack.minted import certificate
from tests.attack.parts import Attack, Control, Seen, control
from tests.unit.small import operation
from wrapper.access import Access, Proxy, Rate
from wrapper.operation import System
from wrapper.policy.keys import Caller
from wrapper.policy.logins import LoginLimit
from wrapper.policy.proxied import ADDRESS, PEER, place
from wrapper.policy.quotas import Quotas
from wrapper.problems import TooMany
from wrapper.state.store import Store

LOGINS, QUOTAS, PROXIED = "wrapper.policy.logins", "wrapper.policy.quotas", "wrapper.policy.proxied"
FAILED = control("failed logins by address", (LOGINS, "if failures > FAILURES - 1:", "if False:"))
NETWORK = control("a /64 is one caller", (LOGINS, 'ipaddress.ip_network(f"{address}/64", strict=False)', "ipaddress.ip_network(address)"))
QUOTA = control(
    "quotas", (QUOTAS, "if wait := self._take(purse):\n                for earlier", "if wait := 0.0:\n                for earlier")
)
SYSTEM = control(
    "a system's rate",
    (
        QUOTAS,
        'if wait := self._take(purse):\n            self._events.happened("rate',
        'if wait := 0.0:\n            self._events.happened("rate',
    ),
)
EVERYBODY = control(
    "who is not named has a quota, too",
    (
        QUOTAS,
        'self._quotas.get(principal) or self._quotas.get("*"):\n            purses',
        "self._quotas.get(principal):\n            purses",
    ),
)
TRUSTED = control("the proxy is known by its network", (PROXIED, "if _within(proxy.networks, address):", "if True:"))
BEYOND = control("the nearest address that is no proxy's", (PROXIED, "in reversed([hop for hop in", "in list([hop for hop in"))
OWN = control("the proxy's certificate is not its callers'", (PROXIED, "environ.pop(PEER, None)", "pass"))
PEM = control(
    "one certificate, whole", (PROXIED, 'if pem is not None and "," not in told:', "if pem := pem or _PEM.search(unquote(told)):")
)
PROXY = Proxy((ipaddress.ip_network("10.0.0.0/8"),), "X-Client-Cert")
HEADER = "HTTP_X_CLIENT_CERT"


def guesses(addresses: Callable[[int], str], most: int = 60) -> Callable[[Any], Seen]:
    """Got when so many guesses from these addresses are let in within a moment."""

    def act(_: Any) -> Seen:
        limit, tried = LoginLimit(clock=lambda: 100.0), 0
        for n in range(most):
            try:
                limit.check(addresses(n))
            except TooMany:
                break
            limit.failed(addresses(n))
            tried += 1
        return Seen(tried == most, f"{tried} of {most} guesses")

    return act


def forwarded(environ: Callable[[int], dict[str, str]], most: int = 60) -> Callable[[Any], Seen]:
    """The same, with addresses as the facade makes them out."""

    def address(n: int) -> str:
        made: dict[str, Any] = {"REMOTE_ADDR": "203.0.113.9", **environ(n)}
        place(PROXY, made)
        return str(made[ADDRESS])

    return guesses(address, most)


def asks(caller: str, times: int, quotas: dict[str, Rate], per_consumer: str = "", system: str = "") -> Callable[[Path], Seen]:
    """Got when all of so many questions in a row are let through."""

    def act(folder: Path) -> Seen:
        limits = {"rate": {"per_consumer": per_consumer}} if per_consumer else {}
        systems = {"scripted": System("scripted", "scripted", {"rate": system} if system else {}, 1)}
        done = 0
        with closing(Store(f"sqlite:///{folder}/state.sqlite")) as store:
            made = Quotas(Access(quotas=quotas), systems, store)
            try:
                for _ in range(times):
                    made.spend(operation(limits=limits), Caller(caller), {})
                    made.spend_system("scripted", caller)
                    done += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it went no further
                return Seen(False, f"{done} of {times}, then {type(error).__name__}")
        return Seen(True, f"{done} of {times}")

    return act


def placed(environ: dict[str, Any], wanted: Callable[[dict[str, Any]], bool]) -> Callable[[Any], Seen]:
    """What a request's environ says of its caller."""

    def act(_: Any) -> Seen:
        made = dict(environ)
        place(PROXY, made)
        return Seen(wanted(made), f"address {made[ADDRESS]}, certificate {'yes' if made.get(PEER) else 'no'}")

    return act


def pem(name: str) -> str:
    body = base64.encodebytes(certificate(name)).decode()
    return quote(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")


def shows(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda made: made.get(PEER) == certificate(name)


def _place(name: str, by: Control, environ: dict[str, Any], wanted: Any, honest: dict[str, Any], honestly: Any) -> Attack:
    return Attack(f"proxy.{name}", "smuggling", by, placed(environ, wanted), placed(honest, honestly))


STRANGER, NEAR = {"REMOTE_ADDR": "203.0.113.9"}, {"REMOTE_ADDR": "10.0.0.1"}
THROUGH = {**NEAR, "HTTP_X_FORWARDED_FOR": "198.51.100.7", HEADER: pem("alice")}
FIVE = Rate(5, 60.0, 5)
ATTACKS = (
    Attack("flood.of_guesses", "floods", FAILED, guesses(lambda _: "203.0.113.9"), guesses(lambda _: "203.0.113.9", 10)),
    Attack("flood.of_guesses_for_a_day", "floods", FAILED, guesses(lambda _: "203.0.113.9", 5000), guesses(lambda n: f"203.0.113.{n}", 60)),
    Attack("flood.over_ipv6", "floods", NETWORK, guesses(lambda n: f"2001:db8::{n:x}"), guesses(lambda n: f"2001:db8:0:{n:x}::1")),
    Attack(
        "flood.by_forwarded_for",
        "floods",
        TRUSTED,
        forwarded(lambda n: {"HTTP_X_FORWARDED_FOR": f"198.51.100.{n}"}),
        forwarded(lambda n: {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": f"198.51.100.{n}"}),
    ),
    Attack(
        "flood.by_longer_forwarded_for",
        "floods",
        BEYOND,
        forwarded(lambda n: {**NEAR, "HTTP_X_FORWARDED_FOR": f"198.51.100.{n}, 203.0.113.9"}),
        forwarded(lambda n: {**NEAR, "HTTP_X_FORWARDED_FOR": f"1.1.1.1, 198.51.100.{n}"}),
    ),
    Attack("extraction.of_a_model", "model extraction", QUOTA, asks("alice", 200, {"alice": FIVE}), asks("alice", 4, {"alice": FIVE})),
    Attack("extraction.by_a_stranger", "model extraction", QUOTA, asks("bob", 200, {"*": FIVE}), asks("bob", 4, {"*": FIVE})),
    Attack(
        "extraction.of_one_endpoint",
        "model extraction",
        QUOTA,
        asks("alice", 200, {}, per_consumer="5/m"),
        asks("alice", 1, {}, per_consumer="5/m"),
    ),
    Attack(
        "extraction.of_who_is_not_named",
        "model extraction",
        EVERYBODY,
        asks("bob", 200, {"*": FIVE, "alice": FIVE}),
        asks("alice", 4, {"*": FIVE, "alice": FIVE}),
    ),
    Attack("flood.of_a_system", "floods", SYSTEM, asks("alice", 200, {}, system="5/s"), asks("alice", 1, {}, system="5/s")),
    _place("certificate_of_a_stranger", TRUSTED, {**STRANGER, HEADER: pem("alice")}, shows("alice"), THROUGH, shows("alice")),
    _place(
        "address_of_a_stranger",
        TRUSTED,
        {**STRANGER, "HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        lambda made: made[ADDRESS] == "127.0.0.1",
        THROUGH,
        lambda made: made[ADDRESS] == "198.51.100.7",
    ),
    _place(
        "address_before_the_callers",
        BEYOND,
        {**NEAR, "HTTP_X_FORWARDED_FOR": "127.0.0.1, 198.51.100.7"},
        lambda made: made[ADDRESS] == "127.0.0.1",
        {**NEAR, "HTTP_X_FORWARDED_FOR": "127.0.0.1, 198.51.100.7"},
        lambda made: made[ADDRESS] == "198.51.100.7",
    ),
    _place("certificate_of_the_proxy", OWN, {**NEAR, PEER: certificate("proxy")}, shows("proxy"), THROUGH, shows("alice")),
    _place(
        "two_certificates",
        PEM,
        {**NEAR, HEADER: f"{pem('mallory')},{pem('alice')}"},
        lambda made: bool(made.get(PEER)),
        THROUGH,
        shows("alice"),
    ),
)
