"""What signs a user on: read anew at each sign-on, bounded, and silent about itself."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from adapters.errors import DeadlineExceeded, Misconfigured
from wrapper import catalogue, functions
from wrapper.credentials import credential
from wrapper.settings import Settings
from wrapper.state.holder import Holder
from wrapper.state.store import Store
from wrapper.systems import Systems

PACKAGES = ("tests",)
release = threading.Event()
begun: list[str] = []


@functions.credential
def ticket(system: str, unit: str) -> str:
    return f"{unit}:{system}-1"


@functions.credential
def stuck(system: str, unit: str) -> str:
    begun.append(unit)
    release.wait(5)
    return "late:late"


@functions.credential
def broken(system: str, unit: str) -> str:
    raise RuntimeError("the password is SECRET")


@functions.credential
def nameless(system: str, unit: str) -> str:
    return "SECRET"


def read(reference: str, seconds: float = 2.0) -> str:
    return credential(reference, {"LOGIN": "ANNA:ONE"}, PACKAGES, "bank", "LU1").read(time.monotonic() + seconds)


def test_a_file_is_read_at_each_sign_on(tmp_path: Path) -> None:
    secret = tmp_path / "login"
    secret.write_text("ANNA:ONE\n")
    made = credential(f"file:{secret}", {}, (), "bank", "LU1")
    assert not made.once
    assert made.read(0) == read("env:LOGIN") == "ANNA:ONE"
    secret.write_text("ANNA:TWO\n")
    assert made.read(0) == "ANNA:TWO"
    secret.unlink()
    with pytest.raises(Misconfigured) as met:
        made.read(0)
    assert str(tmp_path) not in met.value.detail


def test_what_is_no_login_is_found_before_a_host_is_asked(tmp_path: Path) -> None:
    environ = {"LU1_LOGIN": "SECRET", "LU2_LOGIN": "ANNA:ONE"}
    files = catalogue.Folder(Path(__file__).parents[1] / "bad_catalogue" / "base")
    with closing(Store(f"sqlite:///{tmp_path}/state")) as store:
        systems = Systems(catalogue.load(files), Settings(files.root, "", tmp_path, environ=environ), files, Holder(store))
        with pytest.raises(catalogue.CatalogueError) as met:
            systems.check_references()
    told = [str(fault) for fault in met.value.faults if "credentials" in fault.message]
    assert told == ["systems.yaml:7: bank.users[0].credentials: env:LU1_LOGIN is not user:password"]
    with pytest.raises(Misconfigured, match="of LU1 is not user:password"):  # it was changed since
        credential("env:LU1_LOGIN", environ, (), "bank", "LU1").read(0)


def test_a_function_makes_a_login_for_one_sign_on() -> None:
    made = credential(f"py:{__name__}.ticket", {}, PACKAGES, "bank", "LU1")
    assert made.once
    assert made.read(time.monotonic() + 2) == "LU1:bank-1"


@pytest.mark.parametrize(("name", "kind"), [("broken", Misconfigured), ("nameless", Misconfigured), ("stuck", DeadlineExceeded)])
def test_a_function_that_makes_none_is_an_error_in_time_that_tells_nothing(name: str, kind: type[Exception]) -> None:
    release.clear()
    began = time.monotonic()
    with pytest.raises(kind) as met:
        read(f"py:{__name__}.{name}", 0.2)
    release.set()
    assert time.monotonic() - began < 1
    assert "SECRET" not in str(met.value)


def test_a_function_that_hangs_holds_one_thread_however_many_ask() -> None:
    release.clear()
    begun.clear()
    made = credential(f"py:{__name__}.stuck", {}, PACKAGES, "bank", "LU1")
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            made.read(time.monotonic() + 0.05)
    assert begun == ["LU1"]
    release.set()
    assert made.read(time.monotonic() + 2) == "late:late"


def test_a_function_needs_its_mark_and_a_listed_package() -> None:
    with pytest.raises(ValueError, match="FIGWAY_PACKAGES"):
        credential(f"py:{__name__}.ticket", {}, (), "bank", "LU1")
    with pytest.raises(ValueError, match="not marked"):
        credential("py:os.getcwd", {}, ("os",), "bank", "LU1")
    with pytest.raises(TypeError):
        functions.credential(lambda system: system)
