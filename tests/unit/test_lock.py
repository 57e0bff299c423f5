"""The locks: every package pinned and vouched for by hashes, no host named, and nothing imported that is not asked for."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN, TEST = ROOT / "requirements.lock", ROOT / "tests/requirements.lock"
OURS = {"adapters", "wrapper", "scoring", "fixtures", "tests"}
ON_DEMAND = {"sklearn", "skl2onnx", "psycopg"}  # in fixtures: the training extra, and the ledger in PostgreSQL that only tests ask for


def blocks(lock: Path) -> dict[str, str]:
    """What the lock says of each package: "name==version ; marker" -> its hashes."""
    text = "".join(line for line in lock.read_text().splitlines(keepends=True) if not line.lstrip().startswith("#"))
    logical = re.sub(r"\\\n\s*", "", text).splitlines()
    return {line.partition(" --hash=")[0]: line.partition(" --hash=")[2] for line in logical if line.strip()}


def names(lock: Path) -> set[str]:
    return {canonical(re.split(r"[=\[ ;]", requirement)[0]) for requirement in blocks(lock)}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in extras for d in project["optional-dependencies"][extra])]
    return {canonical(re.split(r"[<>=~!\[ ;]", dependency)[0]) for dependency in wanted}


@pytest.mark.parametrize("lock", [RUN, TEST], ids=["run", "test"])
def test_every_package_is_pinned_and_hashed_and_no_host_is_named(lock: Path) -> None:
    for requirement, hashes in blocks(lock).items():
        assert re.fullmatch(r"[a-z0-9._-]+==[^ ]+( ; .+)?", requirement)
        assert re.fullmatch(r"sha256:[0-9a-f]{64}( +--hash=sha256:[0-9a-f]{64})*", hashes.strip()), requirement
    assert not re.search(r"://|--index|--extra-index|--find-links|--trusted", lock.read_text())


def test_the_test_lock_is_the_run_lock_and_more() -> None:
    run, test = blocks(RUN), blocks(TEST)
    assert {requirement: test.get(requirement) for requirement in run} == run


def test_the_locks_hold_what_pyproject_asks_for_and_the_run_lock_no_tools() -> None:
    assert asked_for("demo", "granian", "build") <= names(RUN)
    assert asked_for("demo", "granian", "build", "dev") <= names(TEST)
    assert not (asked_for("dev") - asked_for("demo", "granian")) & names(RUN)


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """(top-level module, file) of every import below `folder`."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            yield from ((module.partition(".")[0], str(path.relative_to(ROOT))) for module in modules)


@pytest.mark.parametrize(
    "folder, extras",
    [("adapters", ()), ("scoring", ()), ("wrapper", ("granian",)), ("fixtures", ("demo",)), ("tests", ("demo", "dev"))],
)
def test_what_is_imported_is_asked_for_in_pyproject(folder: str, extras: tuple[str, ...]) -> None:
    owners = metadata.packages_distributions()
    allowed = asked_for(*extras)
    for module, file in imported(folder):
        if module in sys.stdlib_module_names | OURS or (folder == "fixtures" and module in ON_DEMAND):
            continue
        by = {canonical(owner) for owner in owners.get(module, [])}
        assert by & allowed, f"{file} imports {module}, and pyproject.toml does not ask for it"
