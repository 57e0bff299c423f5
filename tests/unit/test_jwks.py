"""An issuer's keys change with it, hold on while it is away, and are asked for seldom, whatever callers send."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import DeadlineExceeded, Misconfigured
from fixtures.issuer import IssuerWeb, b64, signer
from fixtures.web import Page, Web
from tests.pki import Authority
from tests.waiting import until
from wrapper.access import Issuer, read, unsafe
from wrapper.policy import jwks
from wrapper.policy.jwks import FRESH, KEPT, PAUSE, PLACES, Jwks, source, usable
from wrapper.problems import NotReady
from wrapper.settings import BadSettings

OLD, NEW = signer(kid="old"), signer(kid="new")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def web() -> Iterator[IssuerWeb]:
    made = IssuerWeb(OLD)
    yield made
    made.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(web: IssuerWeb, clock: Clock) -> Jwks:
    return Jwks("sso", source(Issuer("sso", web.name, web.jwks, "figway")), clock=clock)


def test_keys_are_fetched_when_they_are_first_asked_for_and_then_kept(web: IssuerWeb, keys: Jwks, clock: Clock) -> None:
    assert web.asked == []
    for _ in range(3):
        assert keys.key("old", "ES256") is not None
        clock.now += FRESH / 4
    assert web.asked == ["/jwks?p=1"]


def test_a_new_key_is_known_at_once_and_one_withdrawn_in_time(web: IssuerWeb, keys: Jwks, clock: Clock) -> None:
    assert keys.key("old", "ES256") is not None
    clock.now += PAUSE
    web.keys = [NEW.jwk()]
    assert keys.key("new", "ES256") is not None
    assert keys.key("old", "ES256") is None
    clock.now += FRESH
    web.keys = [OLD.jwk()]
    assert keys.key("new", "ES256") is not None  # nobody waits while it is looked for
    until(lambda: keys.key("new", "ES256") is None)
    assert keys.key("old", "ES256") is not None
    assert len(web.asked) == 3


def test_invented_keys_do_not_make_the_issuer_be_asked_again_and_again(web: IssuerWeb, keys: Jwks, clock: Clock) -> None:
    assert keys.key("old", "ES256") is not None
    with ThreadPoolExecutor(4) as crowd:
        assert set(crowd.map(lambda n: keys.key(f"made-up-{n}", "ES256"), range(400))) == {None}
    assert len(web.asked) == 1
    clock.now += PAUSE
    for n in range(100):
        assert keys.key(f"made-up-{n}", "ES256") is None
    assert len(web.asked) == 2


def test_who_sends_invented_keys_holds_up_nobody_while_the_issuer_stalls(web: IssuerWeb, keys: Jwks, clock: Clock) -> None:
    assert keys.key("old", "ES256") is not None
    clock.now += PAUSE
    web.hold.clear()
    outcomes: list[object] = []

    def guess(n: int) -> None:
        try:
            outcomes.append(keys.key(f"made-up-{n}", "ES256"))
        except NotReady as error:
            outcomes.append(error.headers["Retry-After"])

    guesses = [threading.Thread(target=guess, args=(n,)) for n in range(PLACES + 12)]
    for one in guesses:
        one.start()
    until(lambda: len(outcomes) == 12)  # no place to wait: told to come again
    assert outcomes == ["1"] * 12
    began = time.monotonic()
    assert keys.key("old", "ES256") is not None
    assert time.monotonic() - began < 0.5
    web.hold.set()
    for one in guesses:
        one.join(10)
    assert outcomes[12:] == [None] * PLACES
    assert len(web.asked) == 2


def test_a_crowd_that_comes_first_causes_one_fetch(web: IssuerWeb, keys: Jwks) -> None:
    with ThreadPoolExecutor(PLACES) as crowd:
        assert all(crowd.map(lambda _: keys.key("old", "ES256"), range(PLACES)))
    assert len(web.asked) == 1


def test_keys_hold_on_while_the_issuer_is_away_up_to_their_bound(web: IssuerWeb, keys: Jwks, clock: Clock) -> None:
    assert keys.key("old", "ES256") is not None
    web.web.fault = "hang_up"
    clock.now += KEPT - 1
    assert keys.key("old", "ES256") is not None
    with pytest.raises(NotReady):  # whether there is such a key can't be told now
        keys.key("new", "ES256")
    clock.now += 1
    with pytest.raises(NotReady) as error:
        keys.key("old", "ES256")
    assert error.value.headers["Retry-After"] == "10"
    web.web.fault = ""
    clock.now += PAUSE
    assert keys.key("old", "ES256") is not None


@pytest.mark.parametrize("fault", ["html_502", "html_200", "redirect", "huge", "huge_chunked", "short", "hang_up"])
def test_what_is_no_key_set_changes_nothing(web: IssuerWeb, keys: Jwks, clock: Clock, fault: str) -> None:
    assert keys.key("old", "ES256") is not None
    web.web.fault = fault
    clock.now += PAUSE
    with pytest.raises(NotReady):
        keys.key("new", "ES256")
    assert keys.key("old", "ES256") is not None
    assert "/elsewhere" not in web.asked


@pytest.mark.parametrize("fault", ["trickle", "mute"])
def test_an_issuer_that_answers_too_slowly_is_given_up_in_time(web: IssuerWeb, fault: str) -> None:
    web.web.fault = fault
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        source(Issuer("sso", web.name, web.jwks, "figway"), deadline=0.3)()
    assert time.monotonic() - began < 2


def test_keys_that_are_of_no_use_are_passed_over() -> None:
    rsa = signer("RS256").jwk()
    short = {**rsa, "n": b64(bytes([255] * 128))}
    huge = {**rsa, "n": b64(bytes([255] * 2000))}
    off_curve = {**OLD.jwk(), "y": OLD.jwk()["x"]}
    none = [
        {"kty": "oct", "k": b64(b"x" * 32), "kid": "a"}, OLD.jwk(use="enc"), OLD.jwk(key_ops=["sign"]), OLD.jwk(key_ops=7),
        OLD.jwk(d="AQ"), off_curve, short, huge, {**rsa, "n": 7}, {**rsa, "e": b64(bytes([1]))}, OLD.jwk(kid=7),
        {**OLD.jwk(), "crv": "P-999"}, {"kty": "PQC"}, {"kty": "EC"}, {"kty": ["EC"]}, "x", None, [],
    ]  # fmt: skip
    for one in none:
        assert usable(json.dumps({"keys": [one]}).encode()) == (), one
    good = [OLD.jwk(), OLD.jwk(use="sig"), OLD.jwk(alg="ES256"), OLD.jwk(key_ops=["verify"]), OLD.jwk(x5c=["no"], unheard=1), rsa]
    assert len(usable(json.dumps({"keys": [*none, *good]}).encode())) == len(good)


NO_SETS = [b"", b"[]", b"{}", b'{"keys": {}}', b"<html>", b'{"keys": ' + b" " * jwks.MOST + b"[]}", b"[" * 5000]


@pytest.mark.parametrize("document", NO_SETS, ids=range(len(NO_SETS)))
def test_what_is_no_key_set_is_told_from_an_empty_one(document: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        usable(document)
    assert usable(b'{"keys": []}') == ()


@pytest.mark.parametrize(
    "shown, kid, algorithm, there",
    [
        ([OLD.jwk()], "old", "ES256", True),
        ([OLD.jwk()], None, "ES256", True),  # the only one that it can be
        ([OLD.jwk(), NEW.jwk()], None, "ES256", False),
        ([OLD.jwk(), signer("EdDSA").jwk()], None, "ES256", True),
        ([OLD.jwk(), NEW.jwk(kid="old")], "old", "ES256", False),  # two of one name
        ([OLD.jwk()], "old", "RS256", False),
        ([OLD.jwk(alg="ES384")], "old", "ES256", False),
        ([signer("RS256", "r").jwk(alg="RS256")], "r", "RS256", True),
        ([signer("RS256", "r").jwk(alg="RS256")], "r", "PS256", False),
        ([signer("EdDSA", "e").jwk()], "e", "Ed25519", True),
    ],
)
def test_a_key_is_the_one_of_its_name_that_fits_the_algorithm(shown: list[Any], kid: str | None, algorithm: str, there: bool) -> None:
    keys = Jwks("sso", lambda: json.dumps({"keys": shown}).encode())
    assert (keys.key(kid, algorithm) is not None) == there


def test_keys_in_a_file_are_read_again_when_they_change(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [OLD.jwk()]}))
    block = {"issuers": {"sso": {"issuer": "https://sso", "jwks": f"file:{file}", "audience": "figway"}}}
    keys = Jwks("sso", source(read(block, {}).issuers["sso"]), clock=clock)
    assert keys.key("old", "ES256") is not None
    file.write_text(json.dumps({"keys": [NEW.jwk()]}))
    clock.now += PAUSE
    assert keys.key("new", "ES256") is not None
    file.unlink()
    clock.now += KEPT
    with pytest.raises(NotReady):
        keys.key("new", "ES256")


def test_keys_over_https_are_those_of_a_server_that_its_authority_vouches_for(tmp_path: Path) -> None:
    made, stranger = Authority(tmp_path).issue("localhost"), Authority(tmp_path, "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert, made.key)
    web = Web("issuer", lambda _: Page(200, "application/json", json.dumps({"keys": [OLD.jwk()]}).encode()), context)
    url = "https://127.0.0.1:{1}/jwks".format(*web.start())
    try:
        issuer = Issuer("sso", "https://sso", url, "figway", ca=str(tmp_path / "authority.pem"))
        assert len(usable(source(issuer)())) == 1
        for ca in (str(stranger.file), ""):
            with pytest.raises(Misconfigured):
                source(replace(issuer, ca=ca))()
    finally:
        web.stop()


@pytest.mark.parametrize(
    "url", ["https://sso.bank.example/keys?v=1", "http://127.0.0.1:99/k", "http://[::1]/k", "http://localhost/k", "k.json"]
)
def test_where_keys_may_come_from(url: str) -> None:
    assert unsafe(url) == ""


@pytest.mark.parametrize(
    "url",
    ["http://sso.bank.example/keys", "http://127.0.0.1.evil.example/k", "ftp://h/k", "https://u:p@h/k", "https://h/k#x", "https:///k",
     "http://[::1", "data:,x"],
)  # fmt: skip
def test_where_keys_may_not_come_from(url: str) -> None:
    with pytest.raises(BadSettings, match=r"access\.yaml\.issuers\.sso\.jwks"):
        read({"issuers": {"sso": {"issuer": "i", "jwks": "env:URL", "audience": "a"}}}, {"URL": url})


def test_two_issuers_of_one_iss_are_refused() -> None:
    one = {"issuer": "https://sso", "jwks": "https://sso/k", "audience": "a"}
    with pytest.raises(BadSettings, match="two of them are one issuer"):
        read({"issuers": {"a": one, "b": one}}, {})
    with pytest.raises(BadSettings, match="two of them are one issuer"):
        read({"issuers": {"a": one}, "issuer": {"url": "https://sso"}}, {})


@pytest.mark.parametrize(("status", "there"), [(200, True), (500, False), (404, False), (206, False)])
def test_a_key_set_counts_under_its_status_only(status: int, there: bool) -> None:
    web = Web("issuer", lambda _: Page(status, "application/json", json.dumps({"keys": [OLD.jwk()]}).encode()))
    url = "http://127.0.0.1:{1}/jwks".format(*web.start())
    keys = Jwks("sso", source(Issuer("sso", "https://sso", url, "figway")))
    try:
        if there:
            assert keys.key("old", "ES256") is not None
        else:
            with pytest.raises(NotReady):
                keys.key("old", "ES256")
    finally:
        web.stop()
