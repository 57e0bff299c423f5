"""The search itself finds what it is there to find: a value in each of the ways in which it could have been written down."""

from __future__ import annotations

import base64
import gzip
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flow.canaries import everything, found

VALUE = "QUETZAL KANARIENVOGEL 918273645546"
WRITTEN: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "utf-16": lambda text: text.encode("utf-16-le"),
    "cp037": lambda text: text.encode("cp037"),
    "small": lambda text: text.lower().encode(),
    "hex": lambda text: text.encode().hex().encode(),
    "base64 1": lambda text: base64.b64encode(b"name=" + text.encode() + b"&"),
    "base64 2": lambda text: base64.b64encode(b"name:=" + text.encode() + b"&&"),
    "base64 3": lambda text: base64.urlsafe_b64encode(b"names:=" + text.encode()),
    "base64 of EBCDIC": lambda text: base64.b64encode(b"x" + text.encode("cp037")),
    "percent": lambda text: text.replace(" ", "%20").encode(),
    "gzip": lambda text: b"..." + gzip.compress(b"name=" + text.encode() * 9) + b"...",
    "zlib": lambda text: b"..." + zlib.compress(text.encode() * 9, 9),
    "EBCDIC in gzip": lambda text: gzip.compress(text.encode("cp037")),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_it_is_found_however_it_is_written(way: str) -> None:
    data = bytes(range(256)) + WRITTEN[way](VALUE) + bytes(range(256))
    assert found(VALUE, data)
    assert not found("SOMEBODY ELSE 55512341", data)


def test_an_account_number_is_found_as_packed_decimal() -> None:
    assert found("918273645546", b"\x00\x09\x18\x27\x36\x45\x54\x6c")
    assert found("918273645546", b"\x00\x91\x82\x73\x64\x55\x46")


def test_it_is_found_in_free_pages_and_in_the_write_ahead_log(tmp_path: Path) -> None:
    kept = sqlite3.connect(tmp_path / "x.sqlite")
    kept.executescript("PRAGMA journal_mode=WAL; PRAGMA secure_delete=OFF; CREATE TABLE t (v TEXT);")
    kept.executemany("INSERT INTO t VALUES (?)", [(VALUE,)] * 100)
    kept.execute("DELETE FROM t")
    kept.commit()
    assert any(found(VALUE, data) for name, data in everything(tmp_path) if name.endswith("-wal"))
    kept.close()
    assert any(found(VALUE, data) for name, data in everything(tmp_path) if name.endswith(".sqlite"))


def test_it_is_found_in_a_files_name(tmp_path: Path) -> None:
    (tmp_path / f"{VALUE}.txt").touch()
    assert any(found(VALUE, data) for _, data in everything(tmp_path))
