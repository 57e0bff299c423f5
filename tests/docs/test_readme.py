"""The README's examples are executed: its endpoint file is added to a catalogue, its commands are run, their output is compared.

`...` in the shown output stands for anything.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fixtures.estate import Estate
from tests import needs
from tests.live import ROOT, Served, serving
from wrapper import catalogue as catalogues
from wrapper.live import operator

README = (ROOT / "README.md").read_text(encoding="utf-8")
FILE = re.compile(r"^```yaml\n# (endpoints/\S+)\n(.*?)^```", re.M | re.S)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.M | re.S)


@dataclass(frozen=True)
class Shown:
    """A command and the output that the README shows for it."""

    command: str
    output: str


def shown() -> list[Shown]:
    commands = [Shown(*part.split("\n", 1)) for block in CONSOLE.findall(README) for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
    assert len(commands) >= 6
    return commands


def copies(example: Shown) -> bool:
    return example.command.startswith("cp ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's catalogue: the demo's, and the README's own endpoint."""
    made: Path = tmp_path_factory.mktemp("readme")
    (made / "fixtures").symlink_to(ROOT / "fixtures")
    for example in filter(copies, shown()):
        subprocess.run(["sh", "-c", example.command], cwd=made, check=True)
    files = FILE.findall(README)
    assert files
    for name, text in files:
        (made / "my-catalogue" / name).write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def estate() -> Iterator[Mapping[str, str]]:
    needs.program("s3270")
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/odbc/libsqlite3odbc.so")
    with Estate() as settings:
        yield settings


@pytest.fixture(scope="module")
def served(estate: Mapping[str, str], folder: Path) -> Iterator[Served]:
    everything = operator(catalogues.load(folder / "my-catalogue"))
    asking = replace(everything, scopes=everything.scopes - {"pii:read"}, purposes=frozenset({"credit-risk"}))
    with serving(estate, [asking], folder, folder / "my-catalogue") as facade:
        yield facade


@pytest.mark.parametrize("example", [e for e in shown() if not copies(e)], ids=lambda e: e.command[:60])
def test_the_readmes_commands_print_what_it_shows(example: Shown, served: Served, estate: Mapping[str, str], folder: Path) -> None:
    needs.program("curl")
    python = shlex.quote(sys.executable)
    command = example.command.replace("http://127.0.0.1:8080", "http://{}:{}".format(*served.address))
    command = command.replace("./figway", f"{python} -m wrapper.cli")
    environ = {**os.environ, **estate, "PYTHONPATH": str(ROOT), "KEY": served.keys["operator"]}
    environ["FIGWAY_STATE"] = served.state
    ran = subprocess.run(["sh", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    pattern = re.escape(example.output.strip()).replace(re.escape("..."), ".*?")
    assert re.fullmatch(pattern, ran.stdout.strip(), re.S), ran.stdout


def test_the_endpoint_of_the_readme_is_served(served: Served) -> None:
    """One YAML file and no Python."""
    import http.client
    import json

    line = http.client.HTTPConnection(*served.address, timeout=10)
    line.request("GET", "/v1/customers/0000012345/fees", headers={"Authorization": f"Bearer {served.keys['operator']}"})
    answer = line.getresponse()
    body = json.loads(answer.read())
    line.close()
    assert answer.status == 200, body
    assert body["data"]
    assert all(re.fullmatch(r"-?\d+\.\d\d", row["amount"]) for row in body["data"])


def test_every_file_that_the_documents_link_to_exists() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / name).read_text(encoding="utf-8")):
            assert (ROOT / link).exists(), f"{name}: {link}"
