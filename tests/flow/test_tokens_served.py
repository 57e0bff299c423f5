"""Tokens and certificates under real gunicorn and TLS: who calls, and that a stolen token is worth nothing without its certificate."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.issuer import IssuerWeb, signer, token
from tests.flow.shelf import Running, serving
from tests.pki import Authority, Issued
from wrapper.policy.peers import thumbprint

ACCESS = """
issuers:
  sso: {issuer: "env:SSO", jwks: "env:SSO_KEYS", audience: figway}
certificates:
  batch: {san: batch, scopes: ["things:read"]}
"""
SIGNER = signer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def web() -> Iterator[IssuerWeb]:
    made = IssuerWeb(SIGNER)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def facade(authority: Authority, web: IssuerWeb, folder: Path) -> Iterator[Running]:
    server = authority.issue("server")
    settings = {"FIGWAY_TLS_CERT": str(server.cert), "FIGWAY_TLS_KEY": str(server.key), "FIGWAY_TLS_CLIENT_CA": str(authority.file)}
    with serving(folder, {"access.yaml": ACCESS}, SSO=web.name, SSO_KEYS=web.jwks, **settings) as running:
        yield running


def status(facade: Running, context: ssl.SSLContext, sent: str | None = None, path: str = "/v1/things/1") -> int:
    with closing(http.client.HTTPSConnection(*facade.address, timeout=10, context=context)) as line:
        line.request("GET", path, headers={} if sent is None else {"Authorization": f"Bearer {sent}"})
        return line.getresponse().status


@pytest.fixture(scope="module")
def mine(authority: Authority) -> Issued:
    return authority.issue("batch", "client")


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> Issued:
    return authority.issue("thief", "client")


def test_a_bound_token_is_served_to_the_holder_of_its_certificate_only(
    facade: Running, authority: Authority, web: IssuerWeb, mine: Issued, theirs: Issued
) -> None:
    sent = token(SIGNER, web.claims(cnf={"x5t#S256": thumbprint(mine.der)}))
    for _ in range(2):  # before and after it is remembered
        assert status(facade, authority.trusted(theirs), sent) == 401
        assert status(facade, authority.trusted(), sent) == 401
        assert status(facade, authority.trusted(mine), sent) == 200
    assert status(facade, authority.trusted(), token(SIGNER, web.claims())) == 200


def test_a_certificate_is_a_caller_where_no_token_is_sent(facade: Running, authority: Authority, mine: Issued, theirs: Issued) -> None:
    assert status(facade, authority.trusted(mine)) == 200
    assert status(facade, authority.trusted(theirs)) == 401
    assert status(facade, authority.trusted()) == 401
    assert status(facade, authority.trusted(mine), "x.y.z") == 401


def test_the_issuer_was_asked_once_for_all_of_it(facade: Running, authority: Authority, web: IssuerWeb) -> None:
    for n in range(20):
        assert status(facade, authority.trusted(), token(SIGNER, web.claims(jti=str(n)), kid=f"made-up-{n}")) in (401, 429)
    assert len(web.asked) <= 2
