"""What a token is taken with: keys of its issuer, the certificate that it is bound to; and certificates and API keys themselves."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from fixtures.issuer import token
from tests.attack.minted import ISSUER, NAME, believing, called, certificate, claimed, claims, good, key, minted, taken
from tests.attack.parts import Attack, Seen, control
from wrapper.access import Certificate
from wrapper.access import read as access_of
from wrapper.policy.keys import Caller
from wrapper.policy.known import Known
from wrapper.policy.peers import Certificates, thumbprint
from wrapper.state.store import Store

TOKENS, JWKS, KNOWN, PEERS, KEYS = (f"wrapper.policy.{name}" for name in ("tokens", "jwks", "known", "peers", "keys"))
BOUND = control("a bound token is its holder's", (KNOWN, "if seen.caller.bound and not peers.holds(peer, seen.caller.bound):", "if False:"))
CONFIRMED = control(
    "what a token is bound to is understood",
    (TOKENS, 'if not isinstance(cnf, dict) or ("cnf" in claims and set(cnf) != {"x5t#S256"}):', "if False:"),
    (TOKENS, '_text(cnf, "x5t#S256") if cnf else ""', 'cnf.get("x5t#S256", "")'),
    (TOKENS, "if cnf and not _BOUND.fullmatch(bound):", "if False:"),
)
ONLY_BOUND = control("only bound tokens where the issuer says so", (TOKENS, "if issuer.bound and not cnf:", "if False:"))
REMEMBERED = control("nothing is remembered past its end", (KNOWN, "min(now + FRESH, ends), ends)", "now + FRESH, ends)"))
USE = control(
    "keys for signatures",
    (JWKS, '"kid", "use", "alg"', '"kid", "alg"'),
    (JWKS, 'if "d" in raw or raw.get("use", "sig") != "sig" or "verify" not in raw.get("key_ops", ["verify"]):', "if False:"),
)
SHORT = control("long keys", (JWKS, 'if raw["kty"] == "RSA" and len(raw["n"]) not in _MODULUS:', "if False:"))
SAFE = control("keys come over a safe way", ("wrapper.access", "if unfit := unsafe(jwks):", 'if unfit := "":'))
VALID = control("a certificate is valid now", (PEERS, "if not shown.not_valid_before_utc.timestamp() <= now < ends:", "if False:"))
PRINT = control("a certificate is the registered one", (PEERS, "else hmac.compare_digest(one.sha256, print))]", "else True)]"))
KIND = control("a host is no URI", (PEERS, 'if ":" not in name}', "}"))
REVOKED = control("a key that was revoked is none", (KEYS, "if row.revoked:", "if False:"))
EXPIRED = control("a key ends", (KEYS, "if row.expires is not None and row.expires <= now:", "if False:"))


def bound() -> str:
    return token(key(), claims(cnf={"x5t#S256": thumbprint(certificate("alice"))}))


def stolen(peer: Callable[[], bytes | None], used_before: bool = False) -> Callable[[Any], Seen]:
    """A token that is bound to Alice's certificate, in other hands."""

    def act(_: Any) -> Seen:
        known, sent = believing(), bound()
        if used_before:
            called(known, sent, certificate("alice"))
        return Seen(True, f"believed: {called(known, sent, peer()).name}")

    return act


def ended(seconds: float) -> Callable[[Any], Seen]:
    """A token that is remembered, so many seconds after it was first used; it held for two."""

    def act(_: Any) -> Seen:
        now = {"wall": time.time(), "clock": 100.0}
        sent = token(key(), claims(exp=int(now["wall"]) + 2))
        known = believing(wall=lambda: now["wall"], clock=lambda: now["clock"])
        called(known, sent)
        now["wall"] += seconds
        now["clock"] += seconds
        return Seen(True, f"believed after {seconds:g} s: {called(known, sent).name}")

    return act


def fetched(url: str) -> Callable[[Any], Seen]:
    """Got when access.yaml may name this as the place of an issuer's keys."""

    def act(_: Any) -> Seen:
        access = access_of({"issuers": {"sso": {"issuer": NAME, "jwks": url, "audience": "figway"}}}, {})
        return Seen(access.issuers["sso"].jwks == url, url)

    return act


def by_certificate(peer: Callable[[], bytes], san: str = "", print: str = "") -> Callable[[Any], Seen]:
    """Got when a certificate is taken for the registered caller's."""

    def act(_: Any) -> Seen:
        one = Certificate(
            "batch", san, print or ("" if san else hashlib.sha256(certificate("batch")).hexdigest()), frozenset({"x"}), frozenset(), {}, ""
        )
        return Seen(True, f"known: {called(believing(certificates=Certificates((one,))), None, peer()).name}")

    return act


def api_key(change: Callable[[Store, str, float], float]) -> Callable[[Path], Seen]:
    """Got when a key is good at the time that `change` gives."""

    def act(folder: Path) -> Seen:
        with closing(Store(f"sqlite:///{folder}/state.sqlite")) as store:
            now = time.time()
            sent = store.issue(Caller("alice"), 60.0)
            at = change(store, sent, now)
            return Seen(True, f"known: {Known(store, wall=lambda: at).caller(f'Bearer {sent}', None).name}")

    return act


def revoked(store: Store, sent: str, now: float) -> float:
    store.revoke("alice")
    return now


ATTACKS = (
    Attack("token.stolen_bound", "tokens", BOUND, stolen(lambda: None), stolen(lambda: certificate("alice"))),
    Attack(
        "token.stolen_bound_other_certificate",
        "tokens",
        BOUND,
        stolen(lambda: certificate("mallory")),
        stolen(lambda: certificate("alice")),
    ),
    Attack("token.stolen_bound_remembered", "tokens", BOUND, stolen(lambda: None, True), stolen(lambda: certificate("alice"), True)),
    claimed("bound_to_what_is_not_checked", CONFIRMED, cnf={"jkt": "A" * 43}),
    minted("not_bound", ONLY_BOUND, good, bound, peer=lambda: certificate("alice"), issuer=replace(ISSUER, bound=True)),
    Attack("token.remembered_past_its_end", "tokens", REMEMBERED, ended(3), ended(1)),
    minted("of_an_encryption_key", USE, lambda: token(key("ES256", "e1"), claims()), keys=(key().jwk(), key("ES256", "e1").jwk(use="enc"))),
    Attack(
        "token.of_a_short_key",
        "tokens",
        SHORT,
        lambda _: taken(lambda: token(key("RS256", "s1", bits=1024), claims()), keys=(key("RS256", "s1", bits=1024).jwk(),))(None),
        lambda _: taken(lambda: token(key("RS256"), claims()), keys=(key("RS256").jwk(),))(None),
    ),
    Attack("jwks.over_http", "tokens", SAFE, fetched("http://sso.bank.example/jwks"), fetched("https://sso.bank.example/jwks")),
    Attack("jwks.of_a_file_url", "tokens", SAFE, fetched("ftp://sso.bank.example/jwks"), fetched("https://sso.bank.example/jwks?p=1")),
    Attack(
        "certificate.expired",
        "certificates",
        VALID,
        by_certificate(lambda: certificate("old", ends=-1), print=hashlib.sha256(certificate("old", ends=-1)).hexdigest()),
        by_certificate(lambda: certificate("batch")),
    ),
    Attack(
        "certificate.of_the_same_name",
        "certificates",
        PRINT,
        by_certificate(lambda: certificate("batch", "other.example")),
        by_certificate(lambda: certificate("batch")),
    ),
    Attack(
        "certificate.host_that_is_a_uri",
        "certificates",
        KIND,
        by_certificate(lambda: certificate("x", "spiffe:batch"), "spiffe:batch"),
        by_certificate(lambda: certificate("x", "urn:batch"), "urn:batch"),
    ),
    Attack("key.revoked", "keys", REVOKED, api_key(revoked), api_key(lambda _store, _sent, now: now)),
    Attack("key.expired", "keys", EXPIRED, api_key(lambda _store, _sent, now: now + 61), api_key(lambda _store, _sent, now: now + 59)),
)
