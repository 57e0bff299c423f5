"""What callers see of it all over HTTP: 400, 401 and 403 as RFC 6750 words them, and tokens from the header alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from fixtures.issuer import IssuerWeb, signer, token
from tests.unit.small import Scripted, operation, service
from wrapper import http
from wrapper.access import Access, Issuer
from wrapper.catalogue import Folder
from wrapper.edge import Facade
from wrapper.metrics import Metrics
from wrapper.operation import Auth, Catalogue, ObjectRule
from wrapper.policy.logins import FAILURES
from wrapper.policy.peers import thumbprint
from wrapper.settings import Settings
from wrapper.state.holder import Holder
from wrapper.systems import Systems
from wrapper.telemetry import Telemetry

SIGNER = signer()
MINE, THEIRS = b"my certificate", b"another one"
BARE = 'Bearer realm="figway"'
Ask = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def web() -> Iterator[IssuerWeb]:
    made = IssuerWeb(SIGNER)
    yield made
    made.stop()


@pytest.fixture
def ask(web: IssuerWeb, tmp_path: Path) -> Ask:
    """A client of a facade that believes that issuer."""
    read = operation(auth=Auth("things:read", purposes=("servicing", "collections"), object={"id": ObjectRule(claim="thing")}))
    made, store = service(tmp_path, Scripted(), read)
    systems = Systems(Catalogue({}, {}, "hash"), Settings(tmp_path, "", tmp_path), Folder(tmp_path), Holder(store))
    app = Facade("figway")
    issuer = Issuer("sso", web.name, web.jwks, "figway", claims={"thing": "things"})
    http.install(app, made, systems, store, Telemetry(Metrics()), Access(issuers={"sso": issuer}))
    client = Client(app)

    def ask(sent: str | None, path: str = "/things/7", peer: bytes | None = None, **more: Any) -> TestResponse:
        headers = {**more.pop("headers", {}), **({"Authorization": sent} if sent is not None else {})}
        return client.get(
            path, headers=headers, environ_overrides={"REMOTE_ADDR": "127.0.0.1", **({} if peer is None else {"figway.peer": peer})}, **more
        )

    return ask


@pytest.fixture
def good(web: IssuerWeb) -> str:
    return token(SIGNER, web.claims(things="7", purpose="servicing"))


def told(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.headers.get("WWW-Authenticate", "")


def test_a_good_token_is_served(ask: Ask, good: str) -> None:
    assert told(ask(f"Bearer {good}")) == (200, "")


def test_who_sends_nothing_is_asked_for_a_token_and_told_no_error(ask: Ask, good: str) -> None:
    for sent in (None, "Basic eDp5"):
        assert told(ask(sent)) == (401, BARE)


def test_a_token_counts_in_the_header_only(ask: Ask, good: str) -> None:
    for more in (
        {"query_string": {"access_token": good}},
        {"data": {"access_token": good}},
        {"headers": {"X-Authorization": f"Bearer {good}"}},
        {"headers": {"Cookie": f"access_token={good}"}},
    ):
        assert told(ask(None, **more)) == (401, BARE)


def test_a_bad_token_is_invalid_and_one_that_can_not_be_read_a_bad_request(ask: Ask, good: str) -> None:
    status, challenge = told(ask(f"Bearer {good}x"))
    assert (status, challenge.startswith(f'{BARE}, error="invalid_token", error_description="')) == (401, True)
    status, challenge = told(ask(f"Bearer {good}, Bearer {good}"))
    assert (status, challenge.startswith(f'{BARE}, error="invalid_request", error_description="')) == (400, True)
    assert good not in ask(f"Bearer {good}, Bearer {good}").text


def test_a_missing_scope_is_named(ask: Ask, web: IssuerWeb) -> None:
    insufficient = f'{BARE}, error="insufficient_scope", scope='
    for scope in ("other:read", None, "things", "things:readx", "THINGS:READ"):
        sent = f"Bearer {token(SIGNER, web.claims(things='7', purpose='servicing', scope=scope))}"
        assert told(ask(sent)) == (403, f'{insufficient}"things:read"')
    assert told(ask(f"Bearer {token(SIGNER, web.claims())}", "/health/systems")) == (403, f'{insufficient}"health:read"')
    assert told(ask(f"Bearer {token(SIGNER, web.claims(roles=['viewer']))}", "/health/systems")) == (200, "")


def test_a_purpose_is_the_tokens_and_the_header_only_chooses_among_them(ask: Ask, web: IssuerWeb) -> None:
    both = f"Bearer {token(SIGNER, web.claims(things='7', purpose='servicing marketing'))}"
    none = f"Bearer {token(SIGNER, web.claims(things='7'))}"
    assert told(ask(both, headers={"Figway-Purpose": "servicing"})) == (200, "")
    for sent, purpose in ((both, "collections"), (both, "marketing"), (none, "servicing")):
        assert told(ask(sent, headers={"Figway-Purpose": purpose})) == (403, "")
    assert told(ask(both)) == (403, "")  # which of the two?


def test_another_object_is_forbidden_and_is_no_matter_of_scope(ask: Ask, good: str) -> None:
    assert told(ask(f"Bearer {good}", "/things/8")) == (403, "")


def test_a_bound_token_is_refused_to_whoever_stole_it(ask: Ask, web: IssuerWeb) -> None:
    sent = f"Bearer {token(SIGNER, web.claims(things='7', purpose='servicing', cnf={'x5t#S256': thumbprint(MINE)}))}"
    assert told(ask(sent, peer=MINE)) == (200, "")
    for peer in (None, THEIRS):
        status, challenge = told(ask(sent, peer=peer))
        assert (status, 'error="invalid_token"' in challenge) == (401, True)


def test_tokens_that_expire_shut_nobody_out_as_guesses_do(ask: Ask, web: IssuerWeb, good: str) -> None:
    past = token(SIGNER, web.claims(exp=5, iat=0))
    for _ in range(FAILURES + 1):
        assert ask(f"Bearer {past}").status_code == 401
    assert told(ask(f"Bearer {good}")) == (200, "")
    another = token(SIGNER, web.claims(things="7", purpose="servicing", jti="2"))
    for _ in range(FAILURES):
        assert ask(f"Bearer {past}x").status_code == 401
    assert ask(f"Bearer {another}").status_code == 429
    assert told(ask(f"Bearer {good}")) == (200, "")


def test_an_error_says_the_same_in_its_body(ask: Ask) -> None:
    body = json.loads(ask("Bearer x.y.z").text)
    assert (body["status"], body["type"], body["detail"]) == (401, "/problems/unauthenticated", "the API key or access token is not valid")
