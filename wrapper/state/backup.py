"""A backup of the store as one file: every row at one moment and the key that opens them, whichever engine keeps it.

The file is gzip; its lines are JSON: a head, a row each, and a foot that counts them and has their SHA-256. It holds all that the store
holds: only its owner may read it. What came after the backup is unknown to a restored store, so nothing in it is taken for the present:
writes that were under way and jobs that were not answered are unknown, who held a lease holds nothing, and who proposed a move proposes it
again.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wrapper.state import marks
from wrapper.state.database import BadStore, Database, Transaction, note, prepare
from wrapper.state.schema import VERSION
from wrapper.state.seal import Seal, write_key

TABLES = (
    "keys", "writes", "jobs", "generations", "leases",
    "subjects", "holds", "decisions", "clients", "people", "signing_keys",
    "moves", "proposals", "epochs", "epoch_keys", "epoch_hours", "epoch_counts", "samples", "recent", "consumers", "legs",
)  # fmt: skip
_LOST = json.dumps({"title": "The store was restored", "detail": "the job was under way when the backup was made; only its reply can tell"})
_SINCE = (
    (
        "UPDATE writes SET state = 'unknown', until = 0, intent = NULL WHERE state <> 'done'",
        (),
    ),  # what one sees by asking now may be later work
    (
        "UPDATE jobs SET state = 'unknown', error = ?, next_at = ?, lease_by = NULL, lease_until = 0"
        " WHERE state IN ('accepted', 'publishing', 'unknown')",
        (_LOST, float("inf")),
    ),
    ("UPDATE leases SET holder = '', until = 0", ()),
    (
        "UPDATE legs SET state = 'unknown', detail = 'the store was restored: it may have been carried over since the backup'"
        " WHERE state IN ('pending', 'owed')",
        (),
    ),
    ("DELETE FROM proposals", ()),  # they may have been withdrawn since
)


def backup(database: Database, key: Path, file: Path) -> int:
    """Write the backup; returns the number of rows. Raises BadStore when the file is there, or can't be written."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with gzip.open(raw, "wt", encoding="ascii", newline="\n") as out, database.bulk() as tx:
                count, digest = 0, hashlib.sha256()
                head = {"figway": "backup", "version": VERSION, "key": key.read_text(encoding="ascii").strip()}
                out.write(json.dumps(head) + "\n")
                for line in _lines(tx):
                    out.write(line)
                    digest.update(line.encode())
                    count += 1
                out.write(json.dumps({"rows": count, "sha256": digest.hexdigest()}) + "\n")
            raw.flush()
            os.fsync(raw.fileno())
        os.link(fresh, file)  # fails on a file that is there
    except OSError as error:
        raise BadStore(f"{file} can't be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)
    return count


def restore(database: Database, key: Path, file: Path) -> int:
    """Fill a store that does not exist yet; returns the number of rows. Raises BadStore, and then the store is not there."""
    sealed, version = _verified(file)
    there = key.read_text(encoding="ascii").strip() if key.exists() else sealed
    if not f"{there}\n".startswith(f"{sealed}\n"):  # keys may have been added since
        raise BadStore(f"{key} is another key than the backup's: move it away, or restore into another place")
    database.folder.mkdir(parents=True, exist_ok=True)
    database.create(False)
    with database.bulk() as tx:
        if database.version(tx):
            raise BadStore(f"{database.where} is a store already: a backup is restored only where there is none")
        prepare(database, tx, lambda: write_key(key, sealed.encode()))
        note(tx, "seal", Seal(sealed.encode()).fingerprint("figway"))
        count = 0
        for table, row in _rows(file):
            tx.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
            count += 1
        if version < marks.SINCE:
            marks.mark_old(Seal(sealed.encode()), tx)
        for statement, values in _SINCE:
            tx.execute(statement, values)
    return count


def _lines(tx: Transaction) -> Iterator[str]:
    for table in TABLES:
        for row in tx.execute(f"SELECT * FROM {table}"):
            yield json.dumps([table, {name: _plain(value) for name, value in dict(row).items()}]) + "\n"


def _verified(file: Path) -> tuple[str, int]:
    """The key in a backup that is whole, and its schema's version. Raises BadStore."""
    count, digest, last = 0, hashlib.sha256(), ""
    try:
        with gzip.open(file, "rt", encoding="ascii", newline="\n") as lines:
            head = json.loads(next(lines))
            for line in lines:
                if last:
                    digest.update(last.encode())
                    count += 1
                last = line
        whole = head["figway"] == "backup" and json.loads(last) == {"rows": count, "sha256": digest.hexdigest()}
        version, key = int(head["version"]), str(head["key"])
        Seal(key.encode())  # it is one
    except FileNotFoundError:
        raise BadStore(f"there is no file {file}") from None
    except (OSError, EOFError, StopIteration, ValueError, KeyError, TypeError, zlib.error):
        whole = False
    if not whole:
        raise BadStore(f"{file} is not a whole backup: take another")
    if version > VERSION:
        raise BadStore(f"{file} is of schema version {version}, this Figway knows up to {VERSION}: restore it with the newer one")
    return key, version


def _rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with gzip.open(file, "rt", encoding="ascii", newline="\n") as lines:
        next(lines)
        for line in lines:
            read = json.loads(line)
            if isinstance(read, dict):
                return  # the foot
            table, row = read
            if table not in TABLES or not all(name.isidentifier() for name in row):
                raise BadStore(f"{file} holds rows of a table '{table}' that a store does not have")
            yield table, {name: base64.b64decode(value[0]) if isinstance(value, list) else value for name, value in row.items()}


def _plain(value: Any) -> Any:
    """Bytes are base64 in a list of one."""
    return [base64.b64encode(value).decode()] if isinstance(value, bytes) else value
