"""Secrets by reference: read when they are needed, taken over when they change, and shown by nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.base import Call
from fixtures.web import Asked, Page, Web
from tests.waiting import until
from wrapper.catalogue import Folder, load
from wrapper.functions import vault
from wrapper.settings import BadSettings, Settings, from_vault, resolve
from wrapper.systems import Systems

SECRETS = {"door": "first-secret"}
ENVIRON = {"FIGWAY_VAULT": "py:tests.unit.test_secrets.read", "FIGWAY_PACKAGES": "tests"}
ENDPOINT = """
endpoint: things.get
summary: one thing
owner: x
group: x
route: GET /v1/things
auth: {scope: things:read}
effect: read
response: {object: {name: {type: string}}}
legacy: {system: door, path: /thing}
limits: {deadline: 5s}
examples: [{request: {}, expect: {status: 200}}]
"""


@vault
def read(name: str) -> str:
    if name == "slow":
        time.sleep(2)
    return SECRETS[name]


def unmarked(name: str) -> str:
    return name


def test_a_vault_is_asked_each_time() -> None:
    assert resolve({"a": ["vault:door"]}, ENVIRON, "x") == {"a": ["first-secret"]}


@pytest.mark.parametrize(
    ("name", "environ", "said"),
    [
        ("door", {}, "needs FIGWAY_VAULT"),
        ("none", ENVIRON, r"does not give none \(KeyError\)"),
        ("door", {**ENVIRON, "FIGWAY_PACKAGES": ""}, "not in FIGWAY_PACKAGES"),
        ("door", {**ENVIRON, "FIGWAY_VAULT": "py:tests.unit.test_secrets.unmarked"}, "not marked @wrapper.functions.vault"),
        ("slow", ENVIRON, "within 0.2 s"),
    ],
)
def test_a_vault_that_does_not_give_it_is_told_by_the_secrets_name(name: str, environ: dict[str, str], said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        from_vault(name, environ, "systems.yaml:3: door", within=0.2)


@pytest.fixture
def asked() -> Iterator[tuple[Web, list[str]]]:
    tokens: list[str] = []

    def answer(request: Asked) -> Page:
        tokens.append(request.headers.get("Authorization", ""))
        return Page(200, "application/json", b'{"name": "x"}')

    web = Web("door", answer)
    web.address = web.start()  # type: ignore[attr-defined]
    yield web, tokens
    web.stop()


@pytest.mark.parametrize("kind", ["file", "vault"])
def test_a_secret_that_changes_is_used_without_a_restart(
    kind: str, asked: tuple[Web, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("first-secret")
    reference = "vault:door" if kind == "vault" else f"file:{file}"
    (tmp_path / "catalogue" / "endpoints").mkdir(parents=True)
    (tmp_path / "catalogue" / "endpoints" / "things.get.yaml").write_text(ENDPOINT)
    block = f'systems:\n  door: {{kind: http, url: "env:DOOR", credentials: {{bearer: "{reference}"}}}}\n'
    (tmp_path / "catalogue" / "systems.yaml").write_text(block)
    web, tokens = asked
    host, port = web.address  # type: ignore[attr-defined]
    files = Folder(tmp_path / "catalogue")
    loaded = load(files)
    given = Settings(
        tmp_path / "catalogue", "sqlite:///x", tmp_path, environ={**ENVIRON, "DOOR": f"http://{host}:{port}"}, packages=("tests",)
    )
    monkeypatch.setitem(SECRETS, "door", "first-secret")
    opened = Systems(loaded, given, files, None, renew=0.05)  # type: ignore[arg-type]
    opened.open_all()
    source = loaded.operations["things.get"].legacy
    assert source is not None

    def ask() -> str:
        opened["door"].call(Call("things.get", source.target, {}, time.monotonic() + 5))
        return tokens[-1]

    try:
        assert ask() == "Bearer first-secret"
        first = opened["door"]
        file.write_text("second-secret")
        monkeypatch.setitem(SECRETS, "door", "second-secret")
        until(lambda: opened["door"] is not first)
        assert ask() == "Bearer second-secret"
        file.unlink()
        monkeypatch.delitem(SECRETS, "door")
        time.sleep(0.2)  # some turns in which it can't be read
        assert ask() == "Bearer second-secret"
    finally:
        opened.close()
