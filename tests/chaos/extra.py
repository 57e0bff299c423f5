"""The demo's catalogue, made fit for chaos: short deadlines, no rates (one caller asks for all), a pass-through endpoint, and systems
whose names nobody can look up."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

DIRECT = """
endpoint: accounts.direct
summary: The account list as the new service has it
owner: retail-core
group: direct
route: GET /v1/direct/{customer_id}/accounts
auth: {scope: accounts:read, object: {customer_id: "claim:customer"}}
effect: read
request:
  customer_id: {in: path, type: string, pattern: "[0-9]{10}"}
response:
  items:
    account: {type: string, key: true, pii: account_number, mask: last4}
    kind: {type: string, one_of: [current, savings, loan]}
    opened: {type: date, optional: true}
    balance: {type: decimal, currency: GBP, optional: true}
legacy: {system: accounts-api, path: "/customers/{customer_id}/accounts"}
limits: {deadline: 2s}
examples:
  - {request: {customer_id: "0000012345"}, expect: {status: 200}}
"""


def catalogue(source: Path, to: Path, deadline: float) -> Path:
    """A copy of `source` in `to`."""
    shutil.copytree(source, to)
    for file in (to / "endpoints").glob("*.yaml"):
        file.write_text(re.sub(r"deadline: \d+s(, rate: {.*?})?", f"deadline: {deadline:g}s", file.read_text()))
    (to / "endpoints" / "accounts.direct.yaml").write_text(DIRECT)
    for name, block in _nowhere(to / "endpoints").items():
        (to / "endpoints" / f"{name}.yaml").write_text(block)
    systems = to / "systems.yaml"
    systems.write_text(systems.read_text() + _LOST)
    return to


_LOST = """
  lost-http: {kind: http, url: env:LOST_URL, clear: nobody is there}
  lost-host:
    kind: tn3270
    clear: nobody is there
    host: env:LOST_HOST
    port: 23
    users: [{lu: NONE01, credentials: "env:FIGW01_LOGIN"}]
    logon: screens/logon.yaml
  lost-drop:
    kind: sftp
    host: env:LOST_HOST
    port: 22
    host_key: env:DROP_HOST_KEY
    user: env:DROP_USER
    key: env:DROP_KEY
"""
SETTINGS = {"LOST_HOST": "nowhere.invalid", "LOST_URL": "http://nowhere.invalid:8080"}


def _nowhere(endpoints: Path) -> dict[str, str]:
    """Endpoints of three kinds whose host has no address: the demo's own, under other names."""
    made = {"lost.http": DIRECT.replace("accounts.direct", "lost.http").replace("accounts-api", "lost-http")}
    for name, model, old in (("lost.host", "customers.get", "corebank"), ("lost.drop", "applications.get", "drop")):
        text = (endpoints / f"{model}.yaml").read_text().replace(f"system: {old}", f"system: lost-{name[5:]}")
        made[name] = text.replace(f"endpoint: {model}", f"endpoint: {name}")
    return {name: re.sub(r"route: GET /v1/", f"route: GET /v1/{name}/", text) for name, text in made.items()}
