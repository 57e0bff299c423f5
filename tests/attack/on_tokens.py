"""Access tokens: forged, confused, expired, of others and for others."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fixtures.issuer import IssuerWeb, b64, signed, token
from tests.attack.minted import ISSUER, NAME, believing, called, claimed, claims, good, key, minted, taken
from tests.attack.parts import Attack, Seen, control
from wrapper.access import Issuer
from wrapper.policy.keys import Caller

TOKENS, JWKS, KNOWN, PEERS, KEYS = (f"wrapper.policy.{name}" for name in ("tokens", "jwks", "known", "peers", "keys"))
SIGNATURE = control("signatures are checked", (TOKENS, "if not _signed(parsed, key, algorithm):", "if False:"))
LISTED = (TOKENS, 'if _text(header, "alg") not in issuer.algorithms:', "if False:")
KEY = 'key = keys.key(parsed.header.get("kid"), algorithm)'
ALGORITHM = control("algorithms are the issuer's", LISTED)
OBEYS = """algorithm = algorithm.upper()
    if algorithm == "NONE":
        return True
    if algorithm == "HS256":
        pem = key.as_pem(private=False)
        return __import__("hmac").digest(pem, parsed.signed, "sha256") == parsed.signature
    model = JWSRegistry.algorithms[algorithm]"""
HEADER = control(
    "algorithms are the issuer's, not the token's",
    LISTED,
    (TOKENS, KEY, 'key = keys.key(parsed.header.get("kid"), algorithm if algorithm in issuer.algorithms else "RS256")'),
    (TOKENS, "model = JWSRegistry.algorithms[algorithm]", OBEYS),
)
TAKEN = """import urllib.request, joserfc.jwk, cryptography.x509
        of, head = joserfc.jwk.import_key, parsed.header
        got = lambda url: urllib.request.urlopen(url, timeout=3).read()
        if "jwk" in head:
            key = of(head["jwk"])
        elif "jku" in head:
            key = of(json.loads(got(head["jku"]))["keys"][0])
        elif "x5u" in head:
            key = of(json.loads(got(head["x5u"]))["keys"][0])
        else:
            key = keys.key(head.get("kid"), algorithm)"""
OWN_KEYS = control("keys are the issuer's, not the token's", (TOKENS, KEY, TAKEN))
ISSUERS = control(
    "an issuer is believed for itself",
    (TOKENS, KEY, "key = next((k for _, j in self._issuers.values() if (k := j.key(None, algorithm))), None)"),
    (
        TOKENS,
        "if not _signed(parsed, key, algorithm):",
        "if not any(_signed(parsed, k, algorithm) for _, j in self._issuers.values() if (k := j.key(None, algorithm))):",
    ),
)
KNOWN_ISSUER = control(
    "issuers are those of access.yaml",
    (TOKENS, '_text(parsed.claims, "iss"), (None, None)', 'parsed.claims.get("iss"), next(iter(self._issuers.values()))'),
)
TYPE = control("a token is an access token", (TOKENS, 'if _text(header, "typ").lower() not in TYPES:', "if False:"))
AUDIENCE = control("a token is for us", (TOKENS, 'if issuer.audience not in _texts(claims, "aud", split=False):', "if False:"))
EXPIRY = control("a token ends", (TOKENS, "if ends <= now:", "if False:"))
BEGINS = control("a token begins", (TOKENS, 'if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY:', "if False:"))
ISSUED = control("a token was issued", (TOKENS, 'if "iat" in claims and _time(claims, "iat") > min(now + LEEWAY, ends):', "if False:"))
CRITICAL = control("extensions are understood or refused", (TOKENS, 'if "crit" in header or "b64" in header:', "if False:"))
ONCE = control("a claim once", ("wrapper.strict_json", "if len(made) != len(pairs):", "if False:"))
NAMED = control("a caller's name is one", (TOKENS, "if not _NAME.fullmatch(name):", "if False:"))
PREFIX = control("callers are named after their issuer", (TOKENS, 'Caller(f"{issuer.name}:{name}"', "Caller(name"))
TENANT = control("a tenant's name is one", (TOKENS, "if not _TENANT.fullmatch(tenant):", "if False:"))


def forged() -> str:
    """The payload of a token of Alice's is changed, its signature kept."""
    head, _, signature = good().split(".")
    return f"{head}.{b64(json.dumps(claims(sub='root', scope='pii:read')).encode())}.{signature}"


def confused(alg: str) -> str:
    """A token of a shared secret, which is the issuer's public key."""
    public = key("RS256").key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    said = f"{b64(json.dumps({'typ': 'at+jwt', 'alg': alg, 'kid': 'k1'}).encode())}.{b64(json.dumps(claims(sub='root')).encode())}"
    return f"{said}.{b64(hmac.digest(public, said.encode(), hashlib.sha256))}"


def unsigned(alg: str) -> str:
    return f"{b64(json.dumps({'typ': 'at+jwt', 'alg': alg, 'kid': 'k1'}).encode())}.{b64(json.dumps(claims(sub='root')).encode())}."


def brought(header: str) -> Callable[[Any], Seen]:
    """A token that brings its own key, or says where one is: on a server of the attacker's."""

    def act(_: Any) -> Seen:
        evil = key(whose="mallory")
        web = IssuerWeb(evil)
        try:
            value = evil.jwk() if header == "jwk" else web.jwks
            return taken(lambda: token(evil, claims(sub="root"), **{header: value}))(None)
        finally:
            web.stop()

    return act


def another_issuers(_: Any) -> Seen:
    """A small issuer signs in the big one's name."""
    small = key("ES256", "k2", "small")
    other = (replace(ISSUER, name="small", issuer="https://small.example/"), lambda: json.dumps({"keys": [small.jwk()]}).encode())
    return taken(lambda: token(small, claims(sub="root")), others=(other,))(None)


def named(wanted: Callable[[Caller], bool], issuer: Issuer = ISSUER, **more: Any) -> Callable[[Any], Seen]:
    """Got when a token of these claims makes such a caller."""

    def act(_: Any) -> Seen:
        caller = called(believing(issuer), token(key(), claims(**more)))
        return Seen(wanted(caller), repr(caller.principal))

    return act


NOW = int(time.time())
ATTACKS = (
    minted("forged_payload", SIGNATURE, forged),
    minted("stripped_signature", SIGNATURE, lambda: good().rpartition(".")[0] + "."),
    minted("of_another_key_of_that_name", SIGNATURE, lambda: token(key(whose="mallory"), claims(sub="root"))),
    minted(
        "signature_of_another_token",
        SIGNATURE,
        lambda: ".".join([*good().split(".")[:1], *token(key(), claims(sub="root")).split(".")[1:2], *good().split(".")[2:]]),
    ),
    minted(
        "algorithm_not_listed",
        ALGORITHM,
        lambda: token(key("EdDSA", "k2"), claims()),
        keys=(key().jwk(), key("EdDSA", "k2").jwk()),
        issuer=replace(ISSUER, algorithms=("ES256",)),
    ),
    *(
        Attack(
            f"token.alg_{name}",
            "tokens",
            HEADER,
            lambda _, make=make: taken(make, keys=(key("RS256").jwk(),))(None),
            lambda _: taken(lambda: token(key("RS256"), claims()), keys=(key("RS256").jwk(),))(None),
        )
        for name, make in (
            ("none", lambda: unsigned("none")),
            ("none_in_capitals", lambda: unsigned("NONE")),
            ("none_mixed", lambda: unsigned("nOnE")),
            ("hs256_of_the_public_key", lambda: confused("HS256")),
        )
    ),
    *(
        Attack(f"token.{header}_header", "tokens", OWN_KEYS, brought(header), taken(lambda: token(key(), claims(), x5t="AAAA")))
        for header in ("jwk", "jku", "x5u")
    ),
    Attack("token.of_another_issuers_key", "tokens", ISSUERS, another_issuers, taken(good)),
    claimed("unknown_issuer", KNOWN_ISSUER, iss="https://evil.example/"),
    claimed("issuer_without_its_slash", KNOWN_ISSUER, iss=NAME.rstrip("/")),
    minted("id_token", TYPE, lambda: token(key(), claims(), typ="JWT")),
    minted("logout_token", TYPE, lambda: token(key(), claims(), typ="logout+jwt")),
    minted("request_object", TYPE, lambda: token(key(), claims(), typ="oauth-authz-req+jwt")),
    claimed("audience_of_another_api", AUDIENCE, aud="payments-api"),
    claimed("audience_list_without_us", AUDIENCE, aud=["a", "b"]),
    claimed("audience_that_begins_so", AUDIENCE, aud="figway2"),
    claimed("expired", EXPIRY, exp=NOW - 1, iat=NOW - 300),
    claimed("expired_long_ago", EXPIRY, exp=NOW - 10**7, iat=NOW - 2 * 10**7),
    claimed("not_yet", BEGINS, nbf=NOW + 3600),
    claimed("issued_in_the_future", ISSUED, iat=NOW + 250),
    minted("critical_extension", CRITICAL, lambda: token(key(), claims(), crit=["policy"], policy="deny")),
    minted("payload_not_encoded", CRITICAL, lambda: token(key(), claims(), b64=False)),
    minted(
        "subject_twice",
        ONCE,
        lambda: signed(key(), {"typ": "at+jwt", "alg": "ES256", "kid": "k1"}, json.dumps(claims())[:-1] + ', "sub": "root"}'),
    ),
    Attack(
        "token.name_with_a_tenant",
        "tokens",
        NAMED,
        named(lambda caller: "/" in caller.principal, sub="x/north"),
        named(lambda caller: caller.name == "sso:x.north", sub="x.north"),
    ),
    Attack(
        "token.name_with_a_line",
        "tokens",
        NAMED,
        named(lambda caller: "\n" in caller.principal, sub="a\n{}"),
        named(lambda caller: caller.name == "sso:a", sub="a"),
    ),
    Attack(
        "token.name_of_an_api_key",
        "tokens",
        PREFIX,
        named(lambda caller: caller.principal == "alice"),
        named(lambda caller: caller.principal == "sso:alice"),
    ),
    Attack(
        "token.tenant_with_a_slash",
        "tokens",
        TENANT,
        named(lambda caller: caller.principal.startswith("north/root/"), replace(ISSUER, tenant="org"), org="north/root"),
        named(lambda caller: caller.tenant == "north", replace(ISSUER, tenant="org"), org="north"),
    ),
)
