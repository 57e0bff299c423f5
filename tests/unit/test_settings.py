"""What a process is told from outside: read once, judged at once, and handed on to child processes unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wrapper.settings import BadSettings, address, as_environment, from_environment, resolve


def test_options_go_before_the_environment_and_the_environment_before_defaults() -> None:
    made = from_environment({"FIGWAY_CATALOGUE": "/c", "FIGWAY_THREADS": "80", "FIGWAY_WORKERS": "2"}, threads=40, workers=None)
    assert (made.catalogue, made.threads, made.workers, made.bind, made.drain) == (Path("/c"), 40, 2, "127.0.0.1:8080", 1)


def test_a_child_process_sees_the_same_settings() -> None:
    given = {
        "catalogue": "/c", "state": "sqlite:////s/x", "threads": 30, "bind": "[::1]:0", "admin_bind": "[::1]:0", "drain": 0,
        "patience": 3, "log_level": "error",
    }  # fmt: skip
    made = from_environment({"SECRET": "x"}, **given)
    again = from_environment(as_environment(made))
    assert again.environ["SECRET"] == "x"
    for name in (*given, "models", "workers"):
        assert getattr(again, name) == getattr(made, name)


def test_a_catalogue_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "release-1").mkdir()
    (tmp_path / "current").symlink_to("release-1")
    assert from_environment({}, catalogue=str(tmp_path / "x" / ".." / "current")).catalogue == tmp_path / "current"


def test_models_are_in_the_catalogue_or_beside_it(tmp_path: Path) -> None:
    (tmp_path / "one" / "models").mkdir(parents=True)
    assert from_environment({}, catalogue=str(tmp_path / "one")).models == tmp_path / "one" / "models"
    assert from_environment({}, catalogue=str(tmp_path / "two")).models == tmp_path / "models"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", 9), ("threads", "many"), ("workers", 0), ("workers", ""), ("drain", -1), ("drain", "0.5"), ("log_level", "loud"),
        ("admin_bind", "8080"), ("patience", 0), ("server", "apache"), ("threads", 257),
        ("bind", "8080"), ("bind", "nonsense"), ("bind", "127.0.0.1:"), ("bind", "127.0.0.1:http"), ("bind", "127.0.0.1:99999"),
        ("bind", "127.0.0.1:٨٠"), ("bind", "::1:8080"), ("bind", "unix:/run/figway"),
        ("state", "/var/lib/state.sqlite"), ("state", "sqlite:///"), ("state", "sqlite:///:memory:"), ("state", "sqlite:////"), ("state", "postgres://user:secret@host/"),
    ],
)  # fmt: skip
def test_what_can_not_be_used_is_named(name: str, value: Any) -> None:
    if value == "":
        assert getattr(from_environment({}, catalogue="/c", **{name: value}), name) == 1  # an empty setting is none
        return
    with pytest.raises(BadSettings, match=rf"^{name} must be ") as raised:
        from_environment({}, catalogue="/c", **{name: value})
    assert "secret" not in str(raised.value)


def test_what_is_taken_out_of_the_settings_does_not_come_back_from_the_environment() -> None:
    made = from_environment({"FIGWAY_AUDIT": "/var/lib/figway/audit", "PATH": "/bin"}, catalogue="/c")
    assert from_environment(as_environment(replace(made, audit=None))).audit is None
    assert as_environment(made)["PATH"] == "/bin"


def test_the_store_may_be_named_by_a_reference_and_is_never_printed(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:secret@h/x\n")
    for state in ("env:DATABASE", f"file:{tmp_path}/url", "postgresql://u:secret@h/x"):
        made = from_environment({"DATABASE": "postgresql://u:secret@h/x"}, catalogue="/c", state=state, state_key="/k/key")
        assert (made.state, made.state_key) == ("postgresql://u:secret@h/x", Path("/k/key"))
        assert "secret" not in repr(made)
        assert from_environment(as_environment(made)).state_key == made.state_key
    assert "FIGWAY_STATE_KEY" not in as_environment(from_environment({}, catalogue="/c"))  # the store knows where it is then
    with pytest.raises(BadSettings, match="NOTHING"):
        from_environment({}, catalogue="/c", state="env:NOTHING")


def test_without_a_catalogue_it_says_how_to_give_one() -> None:
    with pytest.raises(BadSettings, match="--catalogue DIR or set FIGWAY_CATALOGUE"):
        from_environment({})


@pytest.mark.parametrize(
    ("bind", "meant"),
    [("0.0.0.0:80", ("0.0.0.0", 80)), (":8080", ("", 8080)), ("host.example:1", ("host.example", 1)), ("[::]:65535", ("::", 65535))],
)
def test_an_address_is_host_and_port(bind: str, meant: tuple[str, int]) -> None:
    assert address(bind) == meant


def test_references_are_replaced_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("se:cret\n")
    block = {"host": "env:HOST", "users": [{"login": f"file:{tmp_path}/secret"}], "port": 3, "note": "environment"}
    made = resolve(block, {"HOST": "h"}, "bank")
    assert made == {"host": "h", "users": [{"login": "se:cret"}], "port": 3, "note": "environment"}


@pytest.mark.parametrize("value", ["env:NOT_SET", "env:EMPTY", "file:/no/such/file", "file:/", "file:{folder}/binary"])
def test_a_reference_that_leads_nowhere_is_named_with_its_place(value: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfesecret")
    value = value.format(folder=tmp_path)
    with pytest.raises(BadSettings) as raised:
        resolve({"users": [{"login": value}]}, {"EMPTY": ""}, "bank")
    assert "bank.users[0].login" in str(raised.value)
    assert value.partition(":")[2] in str(raised.value)
    assert "secret" not in str(raised.value)
