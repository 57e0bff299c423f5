"""A start is quick because it imports only what is used. Each test asks a process of its own what it has imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "fixtures" / "catalogue"
LIBRARIES = {
    "zeep",
    "lxml",
    "requests",
    "paramiko",
    "pyodbc",
    "psycopg",
    "onnxruntime",
    "numpy",
    "flask",
    "werkzeug",
    "opentelemetry",
    "rich",
    "asyncio",
}


def imported(script: str) -> set[str]:
    """The modules that a process has at the end of `script`."""
    telling = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script + telling], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_a_command_about_the_state_store_imports_neither_catalogue_nor_protocols(tmp_path: Path) -> None:
    words = ["key", "new", "ui", "--state", f"sqlite:///{tmp_path}/state.sqlite"]
    script = f"from wrapper.cli import figway\nfigway({words!r}, standalone_mode=False)"
    met = imported(script)
    assert "wrapper.state.store" in met
    assert not met & {*LIBRARIES, "wrapper.catalogue", "jsonschema", "yaml"}


def test_the_supervisor_imports_nothing_that_only_its_children_need() -> None:
    met = imported("import wrapper.server")
    assert not met & {*LIBRARIES, "wrapper.catalogue", "jsonschema", "yaml", "prometheus_client"}


def test_paramiko_comes_without_what_it_imports_for_a_file_that_nobody_reads() -> None:
    met = imported("import adapters.sftp.adapter")
    assert "paramiko" in met
    assert not met & {"invoke", "asyncio"}


def test_a_catalogue_is_tried_without_flask_and_without_libraries_of_kinds_that_it_has_not(tmp_path: Path) -> None:
    (tmp_path / "endpoints").mkdir()
    (tmp_path / "endpoints" / "income.summary.yaml").write_text((DEMO / "endpoints" / "income.summary.yaml").read_text())
    (tmp_path / "systems.yaml").write_text('systems:\n  ledger: {kind: odbc, dsn: "env:LEDGER_DSN", read_only: true}\n')
    met = imported(f"from wrapper import assembly\nassert assembly.catalogue.load({str(tmp_path)!r}).operations")
    assert "adapters.odbc.target" in met
    assert not met & LIBRARIES


def test_the_demo_catalogue_is_read_by_zeep_which_is_imported_for_it_alone() -> None:
    assert "zeep" in imported(f"from wrapper import catalogue\ncatalogue.load({str(DEMO)!r})")
