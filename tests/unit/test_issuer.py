"""The embedded issuer, asked without a network: what it refuses, each beside what it grants."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from authlib.oauth2 import rfc8414, rfc9207
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from tests.unit.trails import records
from tests.waiting import until
from wrapper import http
from wrapper.access import Access, OwnIssuer, Rate
from wrapper.audit.trail import Audit
from wrapper.edge import Facade
from wrapper.issuer import passwords, proofs, routes
from wrapper.issuer.minting import signing_key
from wrapper.policy.keys import ANY, Caller, hashed
from wrapper.policy.logins import FAILURES, LoginLimit
from wrapper.policy.proxied import PEER
from wrapper.policy.quotas import Quotas
from wrapper.problems import NotReady
from wrapper.state.issuer import Client, Grant, Person
from wrapper.state.store import Store

URL = "https://figway.example"
BACK = "https://app.example/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {
    "response_type": "code", "client_id": "app", "redirect_uri": BACK, "scope": "a:read", "state": "s-1", "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}  # fmt: skip
BATCH_KEY = ECKey.generate_key("P-256")
OTHER_KEY = ECKey.generate_key("P-256")
PASSWORD = "correct horse battery"
KEPT = passwords.new(PASSWORD)
RIGHTS = Caller("batch", frozenset({"a:read", "b:read"}), frozenset({"servicing"}), {"customer": frozenset({"1", "2"})}, "north")


def certificate(days: int = 1) -> bytes:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "till")])
    began = datetime.now(UTC) - timedelta(days=2)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, began, began + timedelta(days=2 + days)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


TILL, STOLEN, OLD = certificate(), certificate(), certificate(-1)


@dataclass
class Site:
    app: Flask
    store: Store
    audit: Audit

    def token(self, *, peer: bytes | None = None, raw: str = "", path: str = "/oauth/token", **form: str) -> TestResponse:
        environ = {PEER: peer} if peer else {}
        kind = "application/x-www-form-urlencoded"
        return Browser(self.app).post(path, data=raw or urlencode(form), content_type=kind, environ_overrides=environ)

    def batch(
        self,
        *,
        key: ECKey | RSAKey = BATCH_KEY,
        alg: str = "ES256",
        scope: str = "",
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> TestResponse:
        """A token by private_key_jwt; `claims` are other than they should be."""
        right = {"iss": "batch", "sub": "batch", "aud": f"{URL}/oauth/token", "exp": int(time.time()) + 60, "jti": f"jti-{time.time_ns()}"}
        told = {name: value for name, value in {**right, **claims}.items() if value is not None}
        assertion = jwt.encode({"alg": alg, **(header or {})}, told, key, algorithms=[alg])
        return self.asserted(assertion, **({"scope": scope} if scope else {}))

    def asserted(self, assertion: str, **more: str) -> TestResponse:
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return self.token(grant_type="client_credentials", client_assertion_type=kind, client_assertion=assertion, **more)

    def code(self, code: str = "code", **changes: Any) -> str:
        """A code as it is after somebody has signed in."""
        self.store.add_code(hashed(code), replace(Grant("app", "ann", frozenset({"a:read"}), BACK, CHALLENGE), **changes), 60)
        return code

    def redeemed(self, code: str, /, **changes: str) -> TestResponse:
        form = {"grant_type": "authorization_code", "client_id": "app", "redirect_uri": BACK, "code_verifier": VERIFIER, "code": code}
        return self.token(**{name: value for name, value in {**form, **changes}.items() if value})

    def refreshed(self, refresh: str, **more: str) -> TestResponse:
        return self.token(**{"grant_type": "refresh_token", "client_id": "app", "refresh_token": refresh, **more})

    def claims(self, answer: TestResponse) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        found = jwt.decode(answer.json["access_token"], KeySet.import_key_set(self.store.public_keys()), algorithms=["ES256"])
        assert (found.header["typ"], found.header["alg"]) == ("at+jwt", "ES256")
        return dict(found.claims)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with closing(Store(f"sqlite:///{tmp_path}/state.sqlite")) as store, closing(Audit(tmp_path / "audit", store)) as audit:
        app = Facade("test")
        app.register_blueprint(routes.blueprint(OwnIssuer(URL), store, LoginLimit(), audit.stranger, audit.act))
        app.register_error_handler(Exception, partial(http._failed, lambda *_: None))
        store.add_client(Client(RIGHTS, "key", json.dumps(BATCH_KEY.as_dict(private=False))))
        store.add_client(Client(replace(RIGHTS, name="till"), "certificate", hashlib.sha256(TILL).hexdigest()))
        store.add_client(Client(replace(RIGHTS, name="old"), "certificate", hashlib.sha256(OLD).hexdigest()))
        store.add_client(Client(Caller("app", RIGHTS.scopes, RIGHTS.purposes), "none", redirects=(BACK,)))
        store.add_client(Client(Caller("other", RIGHTS.scopes, RIGHTS.purposes), "none", redirects=(BACK,)))
        store.add_client(Client(Caller("south", RIGHTS.scopes, tenant="south"), "none", redirects=(BACK,)))
        everybody = {"customer": frozenset({ANY})}
        store.add_person(
            Person(Caller("ann", frozenset({"a:read", "c:read"}), frozenset({"servicing", "audit"}), everybody, "north"), KEPT)
        )
        yield Site(app, store, audit)


def refused(answer: TestResponse, error: str) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json["error"] == error, answer.text
    assert "access_token" not in answer.text
    assert "Traceback" not in answer.text


# -- programs


def test_a_client_gets_a_short_token_with_what_it_is_registered_for(site: Site) -> None:
    answer = site.batch()
    claims = site.claims(answer)
    assert (claims["iss"], claims["aud"], claims["sub"], claims["client_id"]) == (URL, URL, "batch", "batch")
    assert (claims["scope"], claims["purpose"], claims["tenant"]) == ("a:read b:read", ["servicing"], "north")
    assert claims["claims"] == {"customer": ["1", "2"]}
    assert claims["exp"] - claims["iat"] == 300 == answer.json["expires_in"]
    assert "cnf" not in claims
    assert "refresh_token" not in answer.json
    assert (answer.headers["Cache-Control"], answer.json["token_type"]) == ("no-store", "Bearer")
    assert site.claims(site.batch(scope="b:read"))["scope"] == "b:read"
    assert site.claims(site.batch(aud=[URL]))["jti"] != claims["jti"]


def test_scope_is_not_climbed(site: Site) -> None:
    for scope in ("c:read", "a:read c:read", "role:security", "*", "a:read  role:operator"):
        refused(site.batch(scope=scope), "invalid_scope")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://figway.example.evil"}, {"aud": [URL, "https://other.example"]}, {"aud": None}, {"aud": []}, {"aud": 1},
        {"exp": 1}, {"exp": None}, {"exp": "soon"}, {"exp": 1e308}, {"exp": True}, {"exp": int(time.time()) + 7200},
        {"nbf": int(time.time()) + 3600}, {"iat": int(time.time()) + 3600},
        {"iss": "till"}, {"iss": None}, {"sub": "till"}, {"sub": "nobody", "iss": "nobody"}, {"sub": 5}, {"sub": None},
        {"jti": None}, {"jti": ""}, {"jti": 12345678}, {"jti": "x" * 129}, {"jti": ["12345678"]},
        {"key": OTHER_KEY}, {"key": OTHER_KEY, "header": {"jwk": OTHER_KEY.as_dict(private=False)}},
        {"key": RSAKey.generate_key(2048), "alg": "RS256"},
    ],
)  # fmt: skip
def test_an_assertion_that_is_not_quite_right_is_none(site: Site, changes: dict[str, Any]) -> None:
    refused(site.batch(**changes), "invalid_client")
    assert site.batch().status_code == 200


def test_an_assertion_is_used_once(site: Site) -> None:
    claims = {"jti": "one-time-only", "exp": int(time.time()) + 60}
    assert site.batch(**claims).status_code == 200
    refused(site.batch(**claims), "invalid_client")
    refused(site.batch(**{**claims, "exp": claims["exp"] + 30}), "invalid_client")


def test_who_fails_too_often_is_made_to_wait_before_anything_is_looked_up(site: Site) -> None:
    for _ in range(int(FAILURES)):
        refused(site.batch(key=OTHER_KEY), "invalid_client")
    assert site.batch().status_code == 429
    page = Browser(site.app).get("/oauth/authorize", query_string=ASKED, base_url=URL)
    assert page.status_code == 200


def test_tokens_cost_their_clients_quota(site: Site) -> None:
    quotas = Quotas(Access(quotas={"north/figway:batch": Rate(2, 60, 2)}), {}, site.store)
    app = Facade("test")
    spend = partial(quotas.spend, None, told={})
    app.register_blueprint(routes.blueprint(OwnIssuer(URL), site.store, LoginLimit(), site.audit.stranger, site.audit.act, spend))
    app.register_error_handler(Exception, partial(http._failed, lambda *_: None))
    limited = replace(site, app=app)
    assert [limited.batch().status_code for _ in range(3)] == [200, 200, 429]
    assert limited.batch(key=OTHER_KEY).status_code == 400  # who can't show who they are spends nothing of anybody's
    assert limited.token(grant_type="client_credentials", client_id="till", peer=TILL).status_code == 200


def test_codes_that_a_clients_people_make_up_lock_nobody_out(site: Site) -> None:
    for _ in range(int(FAILURES) + 1):
        refused(site.redeemed("made-up"), "invalid_grant")
        refused(site.refreshed("made.up"), "invalid_grant")
    assert site.batch().status_code == 200


def test_sign_ins_leave_threads_to_the_others() -> None:
    turned_away = []

    def sign_in() -> None:
        began = time.monotonic()
        try:
            assert not passwords.right("wrong", None)
        except NotReady:
            turned_away.append(time.monotonic() - began)

    people = [threading.Thread(target=sign_in) for _ in range(passwords.MANY + 10)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len(turned_away) >= 10
    assert min(turned_away) < 1.0


def test_no_other_algorithm_makes_an_assertion(site: Site) -> None:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"iss": "batch", "sub": "batch", "aud": URL, "exp": int(time.time()) + 60, "jti": "12345678"}
    for alg in ("none", "None", "NONE"):
        refused(site.asserted(f"{part({'alg': alg})}.{part(claims)}."), "invalid_client")
    public = site.store.client("batch")
    assert public is not None
    pem = proofs.public_key(public.material).as_pem(private=False)
    for secret in (pem, public.material.encode()):
        head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
        refused(site.asserted(f"{head}.{part(hmac.digest(secret, head.encode(), 'sha256'))}"), "invalid_client")
    for junk in (
        "",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "." * 5000,
        f"{part({'alg': 'ES256'})}.{part([1])}.x",
        f"{part({'alg': 'ES256'})}.{part('x')}.x",
    ):
        assert site.asserted(junk).json["error"] in ("invalid_client", "invalid_request")


def test_a_clients_assertion_is_not_for_another_client(site: Site) -> None:
    claims = {"iss": "batch", "sub": "batch", "aud": URL, "exp": int(time.time()) + 60}
    sign = lambda jti: jwt.encode({"alg": "ES256"}, {**claims, "jti": jti}, BATCH_KEY)  # noqa: E731
    refused(site.asserted(sign("12345678"), client_id="app"), "invalid_client")
    assert site.asserted(sign("87654321"), client_id="batch").status_code == 200


def test_a_certificate_gets_tokens_that_are_bound_to_it(site: Site) -> None:
    form = {"grant_type": "client_credentials", "client_id": "till"}
    claims = site.claims(site.token(peer=TILL, **form))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(TILL).digest()).rstrip(b"=").decode()
    assert (claims["sub"], claims["cnf"]) == ("till", {"x5t#S256": thumbprint})
    for peer in (None, STOLEN, OLD):
        refused(site.token(peer=peer, **form), "invalid_client")
    refused(site.token(peer=OLD, grant_type="client_credentials", client_id="old"), "invalid_client")
    refused(site.token(peer=TILL, grant_type="client_credentials", client_id="batch"), "invalid_client")


def test_a_client_without_a_proof_gets_nothing_for_itself(site: Site) -> None:
    refused(site.token(grant_type="client_credentials", client_id="app"), "unauthorized_client")
    refused(site.token(grant_type="client_credentials", client_id="app", client_secret=""), "unauthorized_client")
    refused(site.token(grant_type="client_credentials", client_id="batch"), "invalid_client")
    refused(site.token(grant_type="client_credentials"), "invalid_client")
    refused(site.token(grant_type="password", client_id="app", username="ann", password=PASSWORD), "unsupported_grant_type")


@pytest.mark.parametrize(
    "raw",
    [
        "grant_type=client_credentials&grant_type=password", "grant_type=client_credentials&client_id=app&client_id=batch", "grant_type",
        "&", "grant_type=%zz", "grant_type=%ff", "grant_type=a;b=c", "a=1%0a", "client_id=%22", "client_id=ann%00",
        "&".join(f"p{n}=1" for n in range(30)), f"grant_type={'x' * 20000}",
    ],
)  # fmt: skip
def test_a_form_that_can_be_read_in_two_ways_is_refused(site: Site, raw: str) -> None:
    answer = site.token(raw=raw)
    assert (answer.status_code, answer.json["error"]) in ((400, "invalid_request"), (400, "unsupported_grant_type"))


def test_only_a_form_is_read(site: Site) -> None:
    answer = Browser(site.app).post("/oauth/token", json={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
    refused = Browser(site.app).get("/oauth/token")
    assert (refused.status_code, refused.json["detail"]) == (405, "this path takes OPTIONS, POST")


# -- codes and refresh tokens


def test_a_code_gives_what_client_and_person_both_may_have(site: Site) -> None:
    answer = site.redeemed(site.code(scopes=frozenset({"a:read", "b:read", "c:read"})))
    claims = site.claims(answer)
    assert (claims["sub"], claims["client_id"], claims["scope"], claims["purpose"]) == ("ann", "app", "a:read", ["servicing"])
    assert (claims["tenant"], claims["claims"]) == ("north", {"customer": ["*"]})
    assert answer.json["scope"] == "a:read"


def test_a_code_is_for_its_client_its_uri_and_its_verifier(site: Site) -> None:
    code = site.code()
    for changes in ({"code_verifier": "w" * 43}, {"redirect_uri": BACK + "/"}, {"redirect_uri": ""}, {"client_id": "other"}, {"code": "x"}):
        refused(site.redeemed(code, **changes), "invalid_grant")
    for changes in ({"code_verifier": ""}, {"code_verifier": "short"}, {"code_verifier": VERIFIER + "\n"}):
        refused(site.redeemed(code, **changes), "invalid_request")
    assert site.redeemed(code).status_code == 200


def test_a_code_that_is_used_again_revokes_what_it_gave(site: Site) -> None:
    code = site.code()
    refresh = site.redeemed(code).json["refresh_token"]
    refused(site.redeemed(code), "invalid_grant")
    refused(site.refreshed(refresh), "invalid_grant")


def test_a_code_of_somebody_who_was_removed_is_worth_nothing(site: Site) -> None:
    code = site.code()
    refresh = site.redeemed(site.code("other")).json["refresh_token"]
    site.store.remove_person("ann")
    refused(site.redeemed(code), "invalid_grant")
    refused(site.refreshed(refresh), "invalid_grant")


def test_refresh_tokens_are_exchanged_and_an_old_one_ends_the_family(site: Site) -> None:
    first = site.redeemed(site.code()).json["refresh_token"]
    second = site.refreshed(first).json["refresh_token"]
    third = site.refreshed(second)
    assert site.claims(third)["scope"] == "a:read"
    refused(site.refreshed(first), "invalid_grant")
    refused(site.refreshed(third.json["refresh_token"]), "invalid_grant")
    assert "sign in again" in site.refreshed(first).json["error_description"]
    other = site.redeemed(site.code("other"))
    assert site.refreshed(other.json["refresh_token"]).status_code == 200


def test_a_refresh_token_is_its_clients_and_climbs_no_scope(site: Site) -> None:
    refresh = site.redeemed(site.code()).json["refresh_token"]
    refused(site.refreshed(refresh, client_id="other"), "invalid_grant")
    refused(site.refreshed(refresh, scope="b:read"), "invalid_scope")
    refused(site.refreshed("nonsense"), "invalid_grant")
    assert site.claims(site.refreshed(refresh, scope="a:read"))["scope"] == "a:read"


def test_what_a_person_loses_the_next_token_lacks(site: Site) -> None:
    refresh = site.redeemed(site.code()).json["refresh_token"]
    site.store.remove_client("app")
    site.store.add_client(Client(Caller("app", frozenset({"b:read"})), "none", redirects=(BACK,)))
    refused(site.refreshed(refresh), "invalid_grant")


def test_a_refresh_token_is_given_back(site: Site) -> None:
    refresh = site.redeemed(site.code()).json["refresh_token"]
    refused(site.token(path="/oauth/revoke", client_id="other", token=refresh), "invalid_grant")
    assert site.token(path="/oauth/revoke", client_id="app", token="unknown").status_code == 200
    refused(site.token(path="/oauth/revoke", client_id="app", token="a.b.c"), "unsupported_token_type")
    refused(site.token(path="/oauth/revoke", client_id="app", token=refresh, token_type_hint="access_token"), "unsupported_token_type")
    assert site.token(path="/oauth/revoke", client_id="app", token=refresh, token_type_hint="refresh_token").status_code == 200
    refused(site.refreshed(refresh), "invalid_grant")


# -- people


def form(page: TestResponse, **fields: str) -> dict[str, str]:
    [token] = re.findall(r'name="token" value="([^"]+)"', page.text)
    return {"token": token, "name": "ann", "password": PASSWORD, "decision": "allow", **fields}


def sent_back(answer: TestResponse) -> dict[str, str]:
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].startswith(BACK + "?")
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def test_a_person_signs_in_and_the_app_gets_a_code_that_is_good(site: Site) -> None:
    browser = Browser(site.app)
    page = browser.get("/oauth/authorize", query_string=ASKED, base_url=URL)
    assert page.status_code == 200
    assert "<b>app</b>" in page.text
    assert "<code>a:read</code>" in page.text
    assert not re.search(r"(src|href)=", page.text)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' https://app.example" in policy
    [style] = re.findall(r"<style>(.*?)</style>", page.text, re.S)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    cookie = page.headers["Set-Cookie"]
    assert all(word in cookie for word in ("__Secure-", "Secure", "HttpOnly", "SameSite=Strict", "Path=/oauth/authorize"))
    wrong = browser.post("/oauth/authorize", query_string=ASKED, data=form(page, password="wrong"), base_url=URL)
    assert wrong.status_code == 403
    back = sent_back(browser.post("/oauth/authorize", query_string=ASKED, data=form(page), base_url=URL))
    assert (back["state"], back["iss"]) == ("s-1", URL)
    redeemed = site.redeemed(back["code"])
    assert site.claims(redeemed)["sub"] == "ann"
    assert PASSWORD not in wrong.text
    site.token(path="/oauth/revoke", client_id="app", token=redeemed.json["refresh_token"])
    acts = [(record["who"], record["what"], record["client"]) for record in records(site.audit.writer.folder, "act")]
    assert acts == [("north/figway:ann", what, "app") for what in ("sign-in", "token", "sign-out")]


def test_each_token_that_is_given_is_on_record_and_none_where_that_can_not_be(site: Site) -> None:
    answer = site.batch(scope="a:read")
    [told] = records(site.audit.writer.folder, "act")
    assert {name: told[name] for name in ("who", "what", "client", "scopes", "jti")} == {
        "who": "north/figway:batch", "what": "token", "client": "batch", "scopes": ["a:read"], "jti": hashed(site.claims(answer)["jti"]),
    }  # fmt: skip
    assert answer.json["access_token"] not in str(told)
    site.batch(key=OTHER_KEY)
    until(lambda: [record["outcome"] for record in records(site.audit.writer.folder, "denied")] == ["Unauthenticated"], 5)
    site.audit.close()
    assert (given := site.batch()).status_code == 503
    assert "access_token" not in given.text


def test_a_person_who_denies_or_may_not_is_sent_back_without_a_code(site: Site) -> None:
    browser = Browser(site.app)
    for asked, fields in (
        (ASKED, {"decision": "deny", "password": ""}),
        ({**ASKED, "scope": "b:read"}, {}),
        ({**ASKED, "client_id": "south"}, {}),
    ):
        page = browser.get("/oauth/authorize", query_string=asked, base_url=URL)
        back = sent_back(browser.post("/oauth/authorize", query_string=asked, data=form(page, **fields), base_url=URL))
        assert back == {"error": "access_denied", "error_description": back["error_description"], "state": "s-1", "iss": URL}


def test_a_form_from_elsewhere_signs_nobody_in(site: Site) -> None:
    browser, other = Browser(site.app), Browser(site.app)
    page, theirs = (each.get("/oauth/authorize", query_string=ASKED, base_url=URL) for each in (browser, other))
    wider = {**ASKED, "scope": "a:read b:read"}
    for data, query in (
        (form(page, token=""), ASKED),
        (form(theirs), ASKED),
        (form(page), wider),
        (form(page, token="9999999999.x"), ASKED),
    ):
        assert browser.post("/oauth/authorize", query_string=query, data=data, base_url=URL).status_code == 403
    assert Browser(site.app).post("/oauth/authorize", query_string=ASKED, data=form(page), base_url=URL).status_code == 403
    old = form(page, token="1." + form(page)["token"].partition(".")[2])
    assert browser.post("/oauth/authorize", query_string=ASKED, data=old, base_url=URL).status_code == 403
    sent_back(browser.post("/oauth/authorize", query_string=ASKED, data=form(page), base_url=URL))


@pytest.mark.parametrize(
    "uri",
    [
        "", "https://app.example/callback/", "https://app.example/callback?x=1", "https://app.example/callback#x", "https://app.example",
        "https://app.example.evil/callback", "https://app.example@evil.example/callback", "http://app.example/callback",
        "https://APP.example/callback", "https://app.example/callback/../evil", "https://app.example/callback\n", "//evil.example",
        'https://evil.example/"><script>', "https://app.example:443/callback", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_nobody_is_sent_where_the_client_is_not(site: Site, uri: str) -> None:
    for query in (
        {**ASKED, "redirect_uri": uri},
        {**ASKED, "redirect_uri": uri, "response_type": "token"},
        {**ASKED, "redirect_uri": uri, "scope": "x:y"},
    ):
        answer = Browser(site.app).get("/oauth/authorize", query_string=query)
        assert answer.status_code == 400
        assert "Location" not in answer.headers
        assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"response_type": "token"}, {"response_type": "code token"}, {"response_type": ""}, {"code_challenge": ""}, {"code_challenge": "x"},
        {"code_challenge_method": "plain"}, {"code_challenge_method": ""}, {"scope": "c:read"}, {"scope": "a:read role:security"},
    ],
)  # fmt: skip
def test_what_the_app_asks_wrongly_it_is_told(site: Site, changes: dict[str, str]) -> None:
    back = sent_back(Browser(site.app).get("/oauth/authorize", query_string={**ASKED, **changes}))
    assert back["error"] in ("unsupported_response_type", "invalid_request", "invalid_scope")
    assert (back["state"], back["iss"], "code" in back) == ("s-1", URL, False)


def test_an_app_that_is_not_known_is_told_nothing(site: Site) -> None:
    for query in ({**ASKED, "client_id": "nobody"}, {**ASKED, "client_id": "batch"}, {**ASKED, "client_id": ""}, {}):
        assert Browser(site.app).get("/oauth/authorize", query_string=query).status_code == 400
    twice = urlencode(ASKED) + "&scope=b:read"
    assert Browser(site.app).get(f"/oauth/authorize?{twice}").status_code == 400


# -- what is published


def test_the_metadata_says_what_there_is(site: Site) -> None:
    told = Browser(site.app).get("/.well-known/oauth-authorization-server").json
    rfc8414.AuthorizationServerMetadata(told).validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])
    assert told["issuer"] == URL
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint"):
        path = told[name].removeprefix(URL)
        assert Browser(site.app).get(path).status_code != 404
    assert told["code_challenge_methods_supported"] == ["S256"]


def test_a_replaced_key_is_published_until_its_tokens_are_over(site: Site) -> None:
    before = site.batch().json["access_token"]
    site.store.add_signing_key(signing_key())
    keys = Browser(site.app).get("/oauth/jwks").json
    assert len(keys["keys"]) == 2
    assert all("d" not in key for key in keys["keys"])
    known = KeySet.import_key_set(keys)
    for token in (before, site.batch().json["access_token"]):
        assert jwt.decode(token, known, algorithms=["ES256"]).claims["sub"] == "batch"
    site.store.add_signing_key(signing_key(), retired=0.0)
    assert len(Browser(site.app).get("/oauth/jwks").json["keys"]) == 1
