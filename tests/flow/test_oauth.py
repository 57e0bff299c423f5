"""OAuth clients that are not ours get tokens from `figway serve` and use them: what any service team would do."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from click.testing import CliRunner
from joserfc.jwk import ECKey
from requests_oauthlib import OAuth2Session
from zeep.transports import requests  # which zeep brings

from tests.flow.shelf import Running, serving
from tests.live import ROOT
from tests.pki import Authority, Issued
from tests.waiting import free_port
from wrapper.cli import figway

KEY = ECKey.generate_key("P-256")
BACK = "http://127.0.0.1:9/callback"
PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """The facade and its issuer's URL, with a batch program, an app and a person registered by the commands."""
    folder, port = tmp_path_factory.mktemp("oauth"), free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"FIGWAY_BIND": f"127.0.0.1:{port}", "FIGWAY_URL": url}
    with serving(folder, {"access.yaml": 'issuer: {url: "env:FIGWAY_URL", tokens: 2m}\n'}, **settings) as running:
        state = f"sqlite:///{running.state}/state.sqlite"
        public = folder / "public.jwk"
        public.write_text(json.dumps(KEY.as_dict(private=False)))
        run(state, "client", "add", "batch", "--jwk", str(public), "--scope", "things:read")
        run(state, "client", "add", "other", "--jwk", str(public), "--scope", "other:read")
        run(state, "client", "add", "app", "--public", "--redirect", BACK, "--scope", "things:read")
        run(state, "person", "add", "ann", "--scope", "things:read", typed=PASSWORD + "\n")
        yield running, url


def run(state: str, *words: str, typed: str = "") -> str:
    ran = CliRunner().invoke(figway, [*words, "--state", state], input=typed)
    assert ran.exit_code == 0, ran.output
    return ran.output


def signed_in(address: str) -> str:
    """What a person's browser does at that address: the address that it is sent back to."""
    browser = requests.Session()
    page = browser.get(address, timeout=10)
    assert page.status_code == 200, page.text
    token = html.unescape(re.findall(r'name="token" value="([^"]+)"', page.text)[0])
    form = {"token": token, "name": "ann", "password": PASSWORD, "decision": "allow"}
    return str(browser.post(address, data=form, timeout=20, allow_redirects=False).headers["Location"])


def test_authlibs_client_gets_a_token_with_its_private_key(site: tuple[Running, str]) -> None:
    _, url = site
    for name, status in (("batch", 200), ("other", 403)):
        with AuthlibSession(name, KEY, token_endpoint_auth_method="private_key_jwt") as session:
            session.register_client_auth_method(PrivateKeyJWT(alg="ES256"))
            token = session.fetch_token(f"{url}/oauth/token", grant_type="client_credentials")
            assert (token["token_type"], token["expires_in"]) == ("Bearer", 120)
            assert session.get(f"{url}/v1/things/1", timeout=10).status_code == status
    assert requests.get(f"{url}/v1/things/1", timeout=10).status_code == 401


def test_requests_oauthlib_signs_a_person_in_and_keeps_them_signed_in(site: tuple[Running, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # on this machine alone
    _, url = site
    told = requests.get(f"{url}/.well-known/oauth-authorization-server", timeout=10).json()
    with OAuth2Session("app", redirect_uri=BACK, scope=["things:read"], pkce="S256") as session:
        address, state = session.authorization_url(told["authorization_endpoint"])
        back = signed_in(address)
        assert f"state={state}" in back
        token = session.fetch_token(told["token_endpoint"], authorization_response=back, include_client_id=True)
        assert session.get(f"{url}/v1/things/1", timeout=10).json()["data"] == {"word": "brick"}
        renewed = session.refresh_token(told["token_endpoint"], client_id="app")
        assert renewed["access_token"] != token["access_token"]
        assert session.get(f"{url}/v1/things/1", timeout=10).status_code == 200
        with pytest.raises(Exception, match="invalid_grant"):
            session.refresh_token(told["token_endpoint"], refresh_token=token["refresh_token"], client_id="app")
        with pytest.raises(Exception, match="invalid_grant"):  # the family is over: also its newest token
            session.refresh_token(told["token_endpoint"], refresh_token=renewed["refresh_token"], client_id="app")


def test_a_certificate_gets_a_token_that_is_worth_nothing_without_it(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    server, till, thief = authority.issue("server"), authority.issue("till", "client"), authority.issue("thief", "client")
    url = f"https://127.0.0.1:{port}"
    tls = {"FIGWAY_TLS_CERT": str(server.cert), "FIGWAY_TLS_KEY": str(server.key), "FIGWAY_TLS_CLIENT_CA": str(authority.file)}
    settings = {"FIGWAY_BIND": f"127.0.0.1:{port}", "FIGWAY_URL": url, **tls}
    with serving(tmp_path, {"access.yaml": 'issuer: {url: "env:FIGWAY_URL"}\n'}, **settings) as running:
        state = f"sqlite:///{running.state}/state.sqlite"
        run(state, "client", "add", "till", "--certificate", str(till.cert), "--scope", "things:read")
        form = {"grant_type": "client_credentials", "client_id": "till"}

        def ask(method: str, path: str, shows: Issued | None, **more: Any) -> requests.Response:
            cert = None if shows is None else (str(shows.cert), str(shows.key))
            return requests.request(method, url + path, cert=cert, verify=str(authority.file), timeout=10, **more)

        statuses = [ask("POST", "/oauth/token", shows, data=form).status_code for shows in (till, thief, None)]
        assert statuses == [200, 400, 400]
        token = ask("POST", "/oauth/token", till, data=form).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        statuses = [ask("GET", "/v1/things/1", shows, headers=bearer).status_code for shows in (till, thief, None, till)]
        assert statuses == [200, 401, 401, 200]


def test_the_programs_of_the_documentation_do_what_it_says(
    site: tuple[Running, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # on this machine alone
    monkeypatch.chdir(tmp_path)
    running, url = site
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "identity.md").read_text(), re.S)
    assert len(programs) == 3
    for program in programs:
        exec(program.replace("https://figway.example", url).replace("https://app.example/callback", BACK), {"browse": signed_in})
        if (made := tmp_path / "batch.public.jwk").exists():
            state = f"sqlite:///{running.state}/state.sqlite"
            run(state, "client", "remove", "batch")
            run(state, "client", "add", "batch", "--jwk", str(made), "--scope", "things:read")
    assert capsys.readouterr().out.count("{'word': 'brick'}") == 2


def test_no_secret_is_in_the_log(site: tuple[Running, str], tmp_path: Path) -> None:
    running, url = site
    form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "canary-refresh", "password": "canary-password"}
    assert requests.post(f"{url}/oauth/token", data=form, timeout=10).status_code == 400
    requests.get(f"{url}/oauth/authorize?client_id=app&code_challenge=canary-challenge", timeout=10)
    log = running.log.read_text()
    assert '"issuer.token"' in log
    assert not [word for word in ("canary", PASSWORD, "eyJ") if word in log]
