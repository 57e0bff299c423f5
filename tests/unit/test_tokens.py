"""Access tokens are believed when an issuer of ours has signed just what is asked for, and never otherwise: each refusal with its twin."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from fixtures.issuer import IssuerWeb, Signer, b64, signed, signer, token
from wrapper.access import Access, Issuer, OwnIssuer
from wrapper.policy.jwks import source
from wrapper.policy.keys import Caller
from wrapper.policy.known import Known
from wrapper.policy.tokens import Tokens, trusted
from wrapper.problems import NotReady, RequestError, Unauthenticated

EC, RSA, ED = signer(kid="ec"), signer("RS256", "rsa"), signer("EdDSA", "ed")
PSS = replace(RSA, alg="PS256")
OTHER = signer(kid="ec")  # the same name, another key
CLAIMS = {"customer": "customers"}


class Nobody:
    """A store without keys."""

    def key(self, id: str) -> None:
        return None


@pytest.fixture(scope="module")
def web() -> Iterator[IssuerWeb]:
    made = IssuerWeb(EC, RSA, ED)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def issuer(web: IssuerWeb) -> Issuer:
    return Issuer("sso", web.name, web.jwks, "figway", claims=CLAIMS)


@pytest.fixture(scope="module")
def known(issuer: Issuer) -> Known:
    return believing(issuer)


def believing(issuer: Issuer) -> Known:
    return Known(Nobody(), Tokens([(issuer, source(issuer))]))


def asks(known: Known, sent: str, peer: bytes | None = None) -> Caller:
    return known.caller(f"Bearer {sent}", peer)


def refused(known: Known, sent: str, peer: bytes | None = None) -> None:
    """As a bad token, in words that are the same whatever is wrong with it."""
    with pytest.raises(Unauthenticated) as error:
        asks(known, sent, peer)
    said = "the API key or access token is not valid"
    assert error.value.headers["WWW-Authenticate"] == f'Bearer realm="figway", error="invalid_token", error_description="{said}"'


def test_a_good_token_says_who_calls_and_what_for(web: IssuerWeb, known: Known) -> None:
    claims = web.claims(scope="a:read b:read", purpose="servicing", customers=["1", "2"], roles=["viewer", "no-such"], aud=["x", "figway"])
    caller = asks(known, token(EC, claims))
    assert (caller.name, caller.via, caller.tenant, caller.bound) == ("sso:alice", "token", "", "")
    assert {"a:read", "b:read", "migration:read"} <= caller.scopes
    assert (caller.purposes, caller.claims) == ({"servicing"}, {"customer": {"1", "2"}})


def test_an_issuer_gives_no_more_than_it_may(web: IssuerWeb, issuer: Issuer) -> None:
    claims = web.claims(scope="a:read subjects:erase", roles=["operator", "viewer"])
    caller = asks(believing(replace(issuer, scopes=frozenset({"a:read", "role:viewer"}))), token(EC, claims))
    assert caller.scopes == {"a:read", "role:viewer", "health:read", "migration:read"}


@pytest.mark.parametrize("by", [EC, RSA, PSS, ED], ids=lambda by: by.alg)
def test_each_algorithm_that_is_listed_is_believed_and_no_other(web: IssuerWeb, issuer: Issuer, known: Known, by: Signer) -> None:
    assert asks(known, token(by, web.claims())).name == "sso:alice"
    others = tuple(name for name in issuer.algorithms if name != by.alg)
    refused(believing(replace(issuer, algorithms=others)), token(by, web.claims()))


@pytest.mark.parametrize("header", [
    {"typ": "AT+JWT"}, {"typ": "application/at+jwt"},
    {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/x"}, {"jwk": OTHER.jwk()}, {"x5c": ["bm8="]}, {"unheard": 1},
])  # fmt: skip
def test_a_header_may_say_more_and_is_not_heeded(web: IssuerWeb, known: Known, header: dict[str, Any]) -> None:
    assert asks(known, token(EC, web.claims(), **header)).name == "sso:alice"
    refused(known, token(OTHER, web.claims(), **header))


@pytest.mark.parametrize("header", [
    {"typ": None}, {"typ": "JWT"}, {"typ": "id+jwt"}, {"typ": 1}, {"alg": None}, {"alg": "none"}, {"alg": "HS256"}, {"alg": "ES384"},
    {"alg": "RS256"}, {"alg": ["ES256"]}, {"crit": ["exp"], "exp": 1}, {"crit": []}, {"crit": ["b64"], "b64": True}, {"b64": False},
    {"kid": 7}, {"kid": ""}, {"kid": "k" * 300}, {"kid": "rsa"},
])  # fmt: skip
def test_a_header_that_is_not_of_an_access_token_is_refused(web: IssuerWeb, known: Known, header: dict[str, Any]) -> None:
    refused(known, token(EC, web.claims(), **header))


@dataclass(frozen=True, slots=True)
class In:
    """So many seconds after the test has begun, which may be minutes after this file was read."""

    seconds: float
    text: bool = False

    def said(self) -> float | str:
        moment = time.time() + self.seconds
        return str(moment) if self.text else moment


def timed(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value.said() if isinstance(value, In) else value for name, value in claims.items()}


@pytest.mark.parametrize("claims", [
    {"iss": None}, {"iss": "https://sso.bank.example"}, {"iss": ["https://sso.bank.example/"]}, {"aud": None}, {"aud": "figway2"},
    {"aud": ["x"]}, {"aud": ["figway", 1]}, {"aud": "x figway"}, {"exp": None}, {"exp": -1}, {"exp": In(99, text=True)}, {"exp": True},
    {"exp": 10**400}, {"nbf": In(120)}, {"nbf": "soon"}, {"iat": In(120)}, {"iat": In(20), "exp": In(15)}, {"sub": None},
    {"sub": 7}, {"sub": ""}, {"sub": "a/b"}, {"sub": "a b"}, {"sub": "a\nb"}, {"sub": "é"}, {"sub": "x" * 129}, {"sub": "alice\n"},
    {"sub": "a,b"},
    {"client_id": None}, {"client_id": 1}, {"scope": 1}, {"scope": ["a", 1]}, {"scope": {"a": 1}}, {"customers": 5}, {"customers": [5]},
    {"purpose": {}}, {"roles": "x", "cnf": {}}, {"cnf": {"jkt": "x"}}, {"cnf": "x"}, {"cnf": {"x5t#S256": 1}}, {"cnf": None, "roles": 1},
    {"cnf": {"x5t#S256": "short"}}, {"cnf": {"x5t#S256": ""}}, {"cnf": {"x5t#S256": "A" * 43, "jkt": "x"}},
])  # fmt: skip
def test_claims_that_are_not_what_they_must_be_are_refused(web: IssuerWeb, known: Known, claims: dict[str, Any]) -> None:
    refused(known, token(EC, web.claims(**timed(claims))))


@pytest.mark.parametrize("claims", [
    {"aud": "figway"}, {"exp": In(300.5)}, {"nbf": In(10)}, {"nbf": In(0)}, {"iat": In(10)}, {"iat": None}, {"sub": "a" * 128},
    {"sub": "auth0|7"}, {"sub": "a.b@c.example"}, {"scope": None}, {"scope": None, "scp": ["a:b"]}, {"customers": "7"}, {"jti": "1"},
])  # fmt: skip
def test_claims_that_are_what_they_must_be_are_taken(web: IssuerWeb, known: Known, claims: dict[str, Any]) -> None:
    assert asks(known, token(EC, web.claims(**timed(claims)))).via == "token"


@pytest.mark.parametrize("scopes", [{"scope": "a:b  c:d"}, {"scope": ["a:b", "c:d"]}, {"scope": None, "scp": "a:b c:d"}])
def test_scopes_come_as_text_or_as_a_list(web: IssuerWeb, known: Known, scopes: dict[str, Any]) -> None:
    assert asks(known, token(EC, web.claims(**scopes))).scopes == {"a:b", "c:d"}


def test_an_expired_token_is_told_to_be_so_to_who_had_it_and_to_nobody_else(web: IssuerWeb, known: Known) -> None:
    past = {"exp": time.time() - 1, "iat": time.time() - 300}
    with pytest.raises(Unauthenticated) as error:
        asks(known, token(EC, web.claims(**past)))
    assert (error.value.detail, error.value.guess) == ("the API key or access token has expired", False)
    refused(known, token(OTHER, web.claims(**past)))
    refused(known, token(EC, web.claims(**past, aud="another")))


def test_the_tenant_is_the_one_that_the_token_names(web: IssuerWeb, issuer: Issuer) -> None:
    known = believing(replace(issuer, tenant="tid"))
    assert asks(known, token(EC, web.claims(tid="retail-uk"))).principal == "retail-uk/sso:alice"
    for wrong in (None, "", "a/b", "UK", "retail-uk\n", 7, ["retail-uk"]):
        refused(known, token(EC, web.claims(tid=wrong)))


def test_the_embedded_issuers_tokens_say_our_claims_as_they_are() -> None:
    keys: list[Any] = []
    own = trusted(Access(issuer=OwnIssuer("https://figway.example")), lambda: {"keys": keys})
    known = Known(Nobody(), Tokens(own))
    now = int(time.time())
    usual = {"iss": "https://figway.example", "aud": "https://figway.example", "sub": "alice", "client_id": "ui", "exp": now + 60}
    claims = {**usual, "claims": {"customer": ["1"]}, "purpose": ["servicing"]}
    refused(known, token(EC, claims))
    keys.append(EC.jwk(use="sig", alg="ES256"))  # and is known at once: nobody is spared but the store
    caller = asks(known, token(EC, claims))
    assert (caller.principal, caller.claims, caller.purposes) == ("figway:alice", {"customer": {"1"}}, {"servicing"})
    assert asks(known, token(EC, {**claims, "tenant": "retail-uk"})).principal == "retail-uk/figway:alice"
    for wrong in ({"claims": ["customer"]}, {"claims": {"customer": 1}}, {"tenant": ""}):
        refused(known, token(EC, {**claims, **wrong}))


def test_another_signature_another_body_or_none_is_refused(web: IssuerWeb, known: Known) -> None:
    good = token(EC, web.claims())
    head, body, signature = good.split(".")
    richer = b64(json.dumps(web.claims(scope="everything:read")).encode())
    first, *others = base64.urlsafe_b64decode(signature + "==")
    flipped = b64(bytes([first ^ 1, *others]))
    for bad in (f"{head}.{richer}.{signature}", f"{head}.{body}.{flipped}", f"{head}.{body}.", f"{head}.{body}", f"{head}..{signature}",
                f"{good}.{signature}.", f"{good}.x.y", "x.y.z", "a", f"{head}.{body}.{signature[:-4]}"):  # fmt: skip
        refused(known, bad)
    refused(known, token(OTHER, web.claims()))
    assert asks(known, good).name == "sso:alice"


def test_a_public_key_is_no_shared_secret(web: IssuerWeb, known: Known) -> None:
    said = f"{b64(json.dumps({'typ': 'at+jwt', 'alg': 'HS256', 'kid': 'rsa'}).encode())}.{b64(json.dumps(web.claims()).encode())}"
    for secret in (json.dumps(RSA.jwk()).encode(), RSA.jwk()["n"].encode()):
        refused(known, f"{said}.{b64(hmac.new(secret, said.encode(), hashlib.sha256).digest())}")
    unsigned = said.replace(said.split(".")[0], b64(b'{"typ":"at+jwt","alg":"none"}'))
    refused(known, f"{unsigned}.")


def test_json_that_can_be_read_in_two_ways_is_refused(web: IssuerWeb, known: Known) -> None:
    claims, head = json.dumps(web.claims()), json.dumps({"typ": "at+jwt", "alg": "ES256", "kid": "ec"})
    assert asks(known, signed(EC, head, claims)).name == "sso:alice"
    for twice in ('"sub": "bob"', '"x": {"a": 1, "a": 2}', '"x": NaN', '"x": Infinity', '"x": ' + "[" * 2000):
        refused(known, signed(EC, head, claims.replace("{", "{" + twice + ", ", 1)))
        refused(known, signed(EC, head, claims[:-1] + ", " + twice + "}"))
    refused(known, signed(EC, head.replace("{", '{"alg": "none", '), claims))
    for other in ("[]", "7", '"x"', "", "{}x", "\ufeff{}"):
        refused(known, signed(EC, head, other))
        refused(known, signed(EC, other, claims))


def test_a_token_of_no_bearer_form_is_a_bad_request(web: IssuerWeb, known: Known) -> None:
    good = token(EC, web.claims())
    for header in (
        f"Bearer {good},Bearer {good}",
        "Bearer",
        "Bearer ",
        f"Bearer {good} x",
        f"Bearer {good}\t",
        "Bearer " + "x" * 8193,
        "Bearer é",
    ):
        with pytest.raises(RequestError) as error:
            known.caller(header)
        assert error.value.status == 400
        assert 'error="invalid_request"' in error.value.headers["WWW-Authenticate"]
    for header in (None, "", "Basic eDp5", f"DPoP {good}", good):
        with pytest.raises(Unauthenticated) as nothing:
            known.caller(header)
        assert nothing.value.headers["WWW-Authenticate"] == 'Bearer realm="figway"'
    assert {known.caller(f"{scheme}  {good} ").name for scheme in ("Bearer", "bearer", "BEARER")} == {"sso:alice"}


def test_an_issuer_is_believed_for_its_own_callers_only(web: IssuerWeb, issuer: Issuer) -> None:
    theirs = signer(kid="theirs")
    other = IssuerWeb(theirs)
    other.name = "https://other.example"
    try:
        both = [issuer, Issuer("other", other.name, other.jwks, "figway")]
        known = Known(Nobody(), Tokens([(one, source(one)) for one in both]))
        assert asks(known, token(theirs, other.claims())).name == "other:alice"
        refused(known, token(theirs, web.claims()))
        refused(known, token(EC, other.claims()))
    finally:
        other.stop()


def test_no_issuer_is_believed_where_none_is_named(web: IssuerWeb) -> None:
    refused(Known(Nobody()), token(EC, web.claims()))


def test_an_issuer_that_is_away_from_the_start_is_a_503(issuer: Issuer) -> None:
    web = IssuerWeb(EC)
    web.stop()
    with pytest.raises(NotReady) as error:
        asks(believing(replace(issuer, jwks=web.jwks)), token(EC, web.claims()))
    assert error.value.headers["Retry-After"] == "10"
