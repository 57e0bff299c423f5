"""schemathesis, all checks on, against the served description: what it says is what there is.

`make schema` runs longer: `ARGS="--max-examples 200 --seed 7"`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from fixtures.estate import Estate
from tests import needs
from tests.live import CATALOGUE, ROOT, serving
from wrapper import catalogue
from wrapper.live import operator


def test_schemathesis_finds_nothing_that_is_not_as_described(tmp_path: Path) -> None:
    needs.program("s3270")
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/odbc/libsqlite3odbc.so")
    caller = operator(catalogue.load(CATALOGUE))
    ours = {"health:read", "pii:read", "subjects:report", "subjects:erase", "subjects:hold", "decisions:review"}
    caller = replace(caller, scopes=caller.scopes | ours, purposes=frozenset({"credit-risk"}))
    with Estate() as settings, serving(settings, [caller], tmp_path) as served:
        ran = run(served.address, served.keys[caller.name], tmp_path)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    found = re.search(r"(\d+) generated, \d+ passed", ran.stdout)
    assert found is not None, ran.stdout[-2000:]
    assert int(found[1]) > 100


def run(address: tuple[str, int], key: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """In that folder: it leaves files."""
    words = ["--config-file", f"{ROOT}/tests/flow/schemathesis.toml", "run", "http://{}:{}/openapi.json".format(*address)]
    said = ["-H", f"Authorization: Bearer {key}", "--checks", "all", "--request-timeout", "20", "--max-examples", "2", "--seed", "1"]
    more = shlex.split(os.environ.get("SCHEMA_ARGS", ""))  # the last of two is the one that holds
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.flow.schema_hooks", "NO_COLOR": "1"}
    program = str(Path(sys.executable).with_name("st"))
    return subprocess.run([program, *words, *said, *more], cwd=folder, env=environ, capture_output=True, text=True, timeout=600)
