"""The catalogue blocks of kind `sftp`: a file drop with its reply (a write that is answered later), or a lookup in an extract.

    drop:    {path, copybook, codepage, records: {format: fixed}, each, map, trailer: {copybook, map}, publish: {write_as, then, done_file}}
    reply:   {path, copybook, codepage, ready_when: done_file, match_on: batch_id, echo, expect_within, archive}
    extract: {path, copybook, codepage, records: {format: fixed}, key: {FIELD: template}, ready_when, header, trailer}

Suffixes (`write_as`, `done_file`) are appended to the whole file name. In paths only `{batch_id}` may vary, so no value of a caller
ever reaches one. In `map`, names are those of an item of `each` (without `each`: of the request), and `batch_id` and `sequence`, from 1. A
numeric field that may be blank says so in its read rule: `none_when: [SPACES]` or `[LOW-VALUES]`. `echo` is what every record of the reply
must show. `views` chooses among redefinitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.base import BadTarget, Files
from adapters.blocks import strict
from adapters.sftp.compiled import DropTarget, ExtractTarget
from adapters.sftp.compiler import Compiler

_TEXT = {"type": "string", "minLength": 1}
_PATH = {"type": "string", "pattern": r"^/[^\s]*[^/\s]$"}
_SUFFIX = {"type": "string", "pattern": r"^[A-Za-z0-9._-]+$"}
_DURATION = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}
_MAP = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}}
_READY = {"enum": ["done_file"]}


_RECORDS = strict("format", format={"enum": ["fixed"]})
_FORM: Mapping[str, Any] = {"copybook": _TEXT, "views": {"type": "array", "items": _TEXT}}
_FILE = {"path": _PATH, **_FORM, "codepage": _TEXT, "records": _RECORDS}

SYSTEM = strict(
    "host host_key user key",
    host=_TEXT,
    port={"type": ["integer", "string"]},
    host_key={**_TEXT, "description": "the server's key as in known_hosts, without the host: ssh-ed25519 AAAA..."},
    user=_TEXT,
    key={**_TEXT, "description": "our private key as PEM text"},
    pool=strict("max", max={"type": "integer", "minimum": 1, "maximum": 8}),
)
TARGET = strict(
    "",
    drop=strict(
        "path copybook codepage map publish",
        **_FILE,
        each=_TEXT,
        map=_MAP,
        trailer=strict("copybook map", copybook=_TEXT, map=_MAP),
        publish=strict("write_as then", write_as=_SUFFIX, then={"enum": ["rename"]}, done_file=_SUFFIX),
    ),
    reply=strict(
        "path copybook ready_when match_on expect_within",
        **_FILE,
        ready_when=_READY,
        done_file=_SUFFIX,
        match_on={"enum": ["batch_id"]},
        echo=_MAP,
        expect_within=_DURATION,
        archive={"type": "string", "pattern": r"^/[^\s{}]*/$"},
    ),
    extract=strict(
        "path copybook codepage key",
        **_FILE,
        key={**_MAP, "maxProperties": 1},
        ready_when=_READY,
        done_file=_SUFFIX,
        header=strict("copybook", copybook=_TEXT, as_of=_TEXT),
        trailer=strict("copybook count", copybook=_TEXT, count=_TEXT),
    ),
)


def calls(system: Mapping[str, Any]) -> int:
    """See base.TargetModule."""
    most: int = system.get("pool", {}).get("max", 8)
    return most


def compile(block: Mapping[str, Any], system: Mapping[str, Any], files: Files) -> DropTarget | ExtractTarget:
    """A schema-valid block -> its target. Raises BadTarget with every fault found."""
    compiler = Compiler(block, files)
    target = compiler.target()
    if compiler.faults or target is None:
        raise BadTarget(compiler.faults)
    return target
