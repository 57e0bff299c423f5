"""The embedded issuer: codes and refresh tokens that come again or are somebody else's, wider scopes, other ways back, borrowed proofs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from tests.attack.parts import Attack, Control, Seen, control
from tests.unit.test_issuer import (
    ASKED,
    BACK,
    BATCH_KEY,
    KEPT,
    OLD,
    RIGHTS,
    STOLEN,
    TILL,
    URL,
    VERIFIER,
    Site,
    form,
)
from wrapper import http
from wrapper.access import OwnIssuer
from wrapper.audit.trail import Audit
from wrapper.edge import Facade
from wrapper.issuer import proofs, routes
from wrapper.policy.keys import ANY, Caller
from wrapper.policy.logins import LoginLimit
from wrapper.state.issuer import Client, Person
from wrapper.state.store import Store

CLIENTS, GRANTS, SERVER, STATE = "wrapper.issuer.clients", "wrapper.issuer.grants", "wrapper.issuer.server", "wrapper.state.issuer"
GOOD = '"SELECT * FROM families WHERE id = ? AND token = ? AND until > ?", (id, token, tx.now())'
CODE_ONCE = control(
    "a code is used once",
    (STATE, 'and tx.execute("DELETE FROM codes WHERE digest = ?", (code,)).rowcount', 'and tx.one("SELECT 1 AS n")'),
)
CODE_OWN = control(
    "a code is its client's",
    (GRANTS, "if grant is not None and grant.client == client.client_id else None", "if grant is not None else None"),
)
PKCE = control("a code needs its verifier", (SERVER, "(AuthorizationCode, [Pkce()])", "(AuthorizationCode, [])"))
S256 = control(
    "PKCE by S256",
    (GRANTS, 'if not sent.get("code_challenge") or sent.get("code_challenge_method") != "S256":', "if False:"),
    (GRANTS, 'SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)', 'SUPPORTED_CODE_CHALLENGE_METHOD = ("S256", "plain")'),
)
CHALLENGED = control(
    "PKCE always",
    (GRANTS, 'if not sent.get("code_challenge") or sent.get("code_challenge_method") != "S256":', "return\n        if False:"),
)
BACK_TO = control(
    "people are sent back to the letter",
    (CLIENTS, "return redirect_uri in self.record.redirects", "return any(redirect_uri.startswith(one) for one in self.record.redirects)"),
)
REFRESH_ONCE = control("a refresh token is used once", (STATE, GOOD, '"SELECT * FROM families WHERE id = ? AND until > ?", (id, tx.now())'))
REFRESH_OWN = control("a refresh token is its client's", (GRANTS, "return self.grant.client == client.client_id", "return True"))
SCOPE = control(
    "a client's scopes are its own",
    (CLIENTS, "if asked <= self.record.caller.scopes else None", "if asked else None"),
    (SERVER, "replace(most, scopes=most.scopes & set(scope.split()))", "replace(most, scopes=frozenset(scope.split()))"),
)
BOTH = control("an app has what its person has, too", ("wrapper.issuer.minting", "app.scopes & who.scopes", "app.scopes | who.scopes"))
ONCE = control("an assertion is used once", (CLIENTS, "return self._store.first_use(", "return True or self._store.first_use("))
ALONE = control("an assertion is for us alone", (CLIENTS, "if isinstance(audience, list) and len(audience) != 1:", "if False:"))
SHORT = control(
    "an assertion is short-lived",
    (CLIENTS, "if not isinstance(until, int | float) or not until <= time.time() + LONGEST + LEEWAY:", "if False:"),
)
PROOF = control("a client shows what it is registered with", (CLIENTS, "return method == PROOFS[self.record.proof]", "return True"))
CERTIFICATE = control(
    "the registered certificate",
    (CLIENTS, "if not hmac.compare_digest(hashlib.sha256(request.peer).hexdigest(), client.record.material):", "if False:"),
)
VALID = control(
    "a certificate within its time",
    (CLIENTS, "if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:", "if False:"),
)
TWICE = control("a parameter once", ("wrapper.issuer.forms", "if len(dict(pairs)) != len(pairs):", "if False:"))
FORM = control(
    "a form is ours, of this browser and query", ("wrapper.issuer.routes", "if not pages.holds(", "if False and not pages.holds(")
)
SAFE = control("a way back is safe", ("wrapper.issuer.proofs", 'or "@" in urlsplit(uri).netloc', ""))
PLAIN = control("a way back is encrypted", ("wrapper.issuer.proofs", "if not _URI.fullmatch(uri) or", "if"))
TENANT = control("an app serves its own tenant", (SERVER, 'if app.record.caller.tenant not in ("", person.caller.tenant):', "if False:"))
EVERYBODY = {"customer": frozenset({ANY})}


@contextmanager
def issuer(folder: Path) -> Iterator[Site]:
    with closing(Store(f"sqlite:///{folder}/state.sqlite")) as store, closing(Audit(folder / "audit", store)) as audit:
        app = Facade("test")
        app.register_blueprint(routes.blueprint(OwnIssuer(URL), store, LoginLimit(), audit.stranger, audit.act))
        app.register_error_handler(Exception, partial(http._failed, lambda *_: None))
        store.add_client(Client(RIGHTS, "key", json.dumps(BATCH_KEY.as_dict(private=False))))
        for name, certificate in (("till", TILL), ("old", OLD)):
            store.add_client(Client(replace(RIGHTS, name=name), "certificate", hashlib.sha256(certificate).hexdigest()))
        for name, tenant in (("app", ""), ("other", ""), ("south", "south")):
            store.add_client(Client(Caller(name, RIGHTS.scopes, RIGHTS.purposes, tenant=tenant), "none", redirects=(BACK,)))
        store.add_person(Person(Caller("ann", frozenset({"a:read", "c:read"}), frozenset({"servicing"}), EVERYBODY, "north"), KEPT))
        yield Site(app, store, audit)


def given(ask: Callable[[Site], TestResponse], scope: str = "") -> Callable[[Path], Seen]:
    """Got when there is a token in the answer, with this scope among others."""

    def act(folder: Path) -> Seen:
        with issuer(folder) as site:
            answer = ask(site)
            told = answer.json or {}
            return Seen("access_token" in told and scope in [*told["scope"].split(" "), ""], f"{answer.status_code} {told!s:.70}")

    return act


def shown(**asked: str) -> Callable[[Path], Seen]:
    """Got when a person would be asked for a password for this."""

    def act(folder: Path) -> Seen:
        with issuer(folder) as site:
            query = {name: value for name, value in {**ASKED, **asked}.items() if value}
            page = Browser(site.app).get("/oauth/authorize", query_string=query, base_url=URL)
            return Seen(page.status_code == 200, f"{page.status_code} {page.headers.get('Location', page.text[-60:])}")

    return act


def signed_in(
    change: Callable[[dict[str, str], dict[str, str]], None] = lambda query, fields: None, **asked: str
) -> Callable[[Path], Seen]:
    """Ann signs in to what a form says, after `change` was made to its query and fields. Got when there is a code."""

    def act(folder: Path) -> Seen:
        with issuer(folder) as site:
            browser, query = Browser(site.app), {**ASKED, **asked}
            fields = form(browser.get("/oauth/authorize", query_string=query, base_url=URL))
            change(query, fields)
            done = browser.post("/oauth/authorize", query_string=query, data=fields, base_url=URL)
            return Seen("code=" in done.headers.get("Location", ""), f"{done.status_code} {done.headers.get('Location', '')[:70]}")

    return act


def twice_redeemed(site: Site) -> TestResponse:
    site.redeemed(site.code())
    return site.redeemed("code")


def old_refresh(site: Site) -> TestResponse:
    first = site.redeemed(site.code()).json["refresh_token"]
    site.refreshed(first)
    return site.refreshed(first)


def guessed_refresh(site: Site) -> TestResponse:
    family = site.redeemed(site.code()).json["refresh_token"].partition(".")[0]
    return site.refreshed(f"{family}.{'x' * 43}")


def refreshed(client: str) -> Callable[[Site], TestResponse]:
    return lambda site: site.refreshed(site.redeemed(site.code()).json["refresh_token"], client_id=client)


def asserted_twice(site: Site) -> TestResponse:
    site.batch(jti="jti-of-mine")
    return site.batch(jti="jti-of-mine")


def registers(uri: str) -> Callable[[Any], Seen]:
    return lambda _: Seen(proofs.redirect(uri) == uri, uri)


def _token(name: str, by: Control, attack: Callable[[Site], TestResponse], twin: Callable[[Site], TestResponse], scope: str = "") -> Attack:
    return Attack(f"issuer.{name}", "issuer", by, given(attack, scope), given(twin))


def _wider(query: dict[str, str], _: dict[str, str]) -> None:
    query["scope"] = "a:read b:read"


def _without(_: dict[str, str], fields: dict[str, str]) -> None:
    fields["token"] = ""


redeems = lambda site: site.redeemed(site.code())  # noqa: E731 - the twin of many
asserts = lambda site: site.batch()  # noqa: E731
CREDENTIALS = {"grant_type": "client_credentials"}
ATTACKS = (
    _token("code_again", CODE_ONCE, twice_redeemed, redeems),
    _token("code_of_another_app", CODE_OWN, lambda site: site.redeemed(site.code(), client_id="other"), redeems),
    _token("code_without_its_verifier", PKCE, lambda site: site.redeemed(site.code(), code_verifier=""), redeems),
    _token("code_with_another_verifier", PKCE, lambda site: site.redeemed(site.code(), code_verifier="w" * 43), redeems),
    Attack("issuer.pkce_plain", "issuer", S256, shown(code_challenge="v" * 43, code_challenge_method="plain"), shown()),
    Attack("issuer.pkce_left_out", "issuer", CHALLENGED, shown(code_challenge="", code_challenge_method=""), shown()),
    Attack("issuer.back_to_a_longer_host", "issuer", BACK_TO, shown(redirect_uri=f"{BACK}.evil.example"), shown()),
    Attack("issuer.back_by_a_step_up", "issuer", BACK_TO, shown(redirect_uri=f"{BACK}/../evil"), shown()),
    Attack("issuer.back_with_a_query", "issuer", BACK_TO, shown(redirect_uri=f"{BACK}?next=https://evil.example"), shown()),
    _token("refresh_again", REFRESH_ONCE, old_refresh, refreshed("app")),
    _token("refresh_guessed", REFRESH_ONCE, guessed_refresh, refreshed("app")),
    _token("refresh_of_another_app", REFRESH_OWN, refreshed("other"), refreshed("app")),
    _token(
        "scope_beyond_the_client",
        SCOPE,
        lambda site: site.batch(scope="a:read pii:read"),
        lambda site: site.batch(scope="a:read"),
        "pii:read",
    ),
    _token(
        "scope_of_an_admin", SCOPE, lambda site: site.batch(scope="role:security"), lambda site: site.batch(scope="b:read"), "role:security"
    ),
    _token(
        "scope_of_the_person_only", BOTH, lambda site: site.redeemed(site.code(scopes=frozenset({"a:read", "c:read"}))), redeems, "c:read"
    ),
    _token("assertion_again", ONCE, asserted_twice, asserts),
    _token(
        "assertion_for_another_too", ALONE, lambda site: site.batch(aud=[URL, "https://evil.example"]), lambda site: site.batch(aud=[URL])
    ),
    _token("assertion_for_years", SHORT, lambda site: site.batch(exp=4_000_000_000), asserts),
    _token(
        "certificate_client_by_name",
        PROOF,
        lambda site: site.token(client_id="till", **CREDENTIALS),
        lambda site: site.token(client_id="till", peer=TILL, **CREDENTIALS),
    ),
    _token("key_client_by_name", PROOF, lambda site: site.token(client_id="batch", **CREDENTIALS), asserts),
    _token(
        "another_certificate",
        CERTIFICATE,
        lambda site: site.token(client_id="till", peer=STOLEN, **CREDENTIALS),
        lambda site: site.token(client_id="till", peer=TILL, **CREDENTIALS),
    ),
    _token(
        "old_certificate",
        VALID,
        lambda site: site.token(client_id="old", peer=OLD, **CREDENTIALS),
        lambda site: site.token(client_id="till", peer=TILL, **CREDENTIALS),
    ),
    _token(
        "parameter_twice",
        TWICE,
        lambda site: site.token(
            raw=f"grant_type=authorization_code&client_id=other&client_id=app&redirect_uri={BACK}&code_verifier={VERIFIER}&code={site.code()}"
        ),
        redeems,
    ),
    Attack("issuer.form_from_elsewhere", "issuer", FORM, signed_in(_without), signed_in()),
    Attack("issuer.form_of_a_narrower_scope", "issuer", FORM, signed_in(_wider), signed_in()),
    Attack("issuer.app_of_another_tenant", "issuer", TENANT, signed_in(client_id="south"), signed_in(client_id="other")),
    Attack("issuer.way_back_with_a_user", "issuer", SAFE, registers("https://app.example@evil.example/"), registers(BACK)),
    Attack(
        "issuer.way_back_in_clear", "issuer", PLAIN, registers("http://app.example/callback"), registers("http://127.0.0.1:9000/callback")
    ),
)
