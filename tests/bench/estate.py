"""The bench's own small estate: its back ends as a process, and a catalogue over them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.live import ROOT

HERE = Path(__file__).parent
FIXTURES = ROOT / "fixtures" / "catalogue"
BORROWED = ("customers.get", "credit.check", "income.summary")
CUSTOMERS = [f"{10001 + n:010}" for n in range(40)]
_SYSTEMS = """\
systems:
  corebank:
    kind: tn3270
    host: env:COREBANK_HOST
    port: env:COREBANK_PORT
    model: 3279-2
    codepage: cp037
    users: [{users}]
    logon: screens/logon.yaml
  stalled:
    kind: tn3270
    host: env:COREBANK_HOST
    port: env:MUTE_PORT
    model: 3279-2
    codepage: cp037
    users: [{{lu: FIGW28, credentials: "env:FIGW28_LOGIN"}}]
    logon: screens/logon.yaml
  bureau: {{kind: soap, wsdl: wsdl/credit.wsdl, endpoint: "env:BUREAU_URL", security: {{username_token: "env:BUREAU_LOGIN"}}}}
  ledger: {{kind: odbc, dsn: "env:LEDGER_DSN", pool: {{max: 6, recycle: 15m}}, read_only: true}}
  accounts-api: {{kind: http, url: "env:ACCOUNTS_URL"}}
  mute-api: {{kind: http, url: "env:MUTE_URL"}}
"""


@contextmanager
def backends(folder: Path) -> Iterator[dict[str, str]]:
    """The settings that say where they are."""
    told = folder / "backends.json"
    child = subprocess.Popen([sys.executable, "-m", "tests.bench.backends", str(told)], cwd=ROOT)
    try:
        until = time.monotonic() + 30
        while not told.exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        yield json.loads(told.read_text())
    finally:
        child.terminate()
        child.wait(15)


def catalogue(folder: Path, users: Sequence[str], more: Mapping[str, str] | None = None) -> Path:
    """Endpoints of every kind, and `more` by name; `users` are the mainframe's for this facade."""
    folder.mkdir()
    for name in ("screens", "wsdl"):
        shutil.copytree(FIXTURES / name, folder / name)
    (folder / "endpoints").mkdir()
    for file in [*HERE.glob("endpoints/*.yaml"), *(FIXTURES / "endpoints" / f"{name}.yaml" for name in BORROWED)]:
        shutil.copy(file, folder / "endpoints")
    for name, text in (more or {}).items():
        (folder / "endpoints" / f"{name}.yaml").write_text(text)
    listed = ", ".join(f'{{lu: {user}, credentials: "env:{user}_LOGIN"}}' for user in users)
    (folder / "systems.yaml").write_text(_SYSTEMS.format(users=listed))
    return folder
