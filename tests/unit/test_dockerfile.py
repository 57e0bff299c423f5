"""Docker does not run where the tests run, so the Dockerfile is held against what the launcher does."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())
INSTRUCTIONS = [tuple(line.split(maxsplit=1)) for line in re.sub(r"\\\n\s*", "", TEXT).splitlines() if line.strip()]


def all_of(name: str) -> list[str]:
    return [rest for instruction, rest in INSTRUCTIONS if instruction == name]


def copied_from_the_checkout() -> list[str]:
    """The sources of each COPY that does not come from another stage."""
    return [source for rest in all_of("COPY") if not rest.startswith("--from=") for source in rest.split()[:-1]]


def last_stage() -> list[tuple[str, ...]]:
    start = max(i for i, (instruction, _) in enumerate(INSTRUCTIONS) if instruction == "FROM")
    return INSTRUCTIONS[start:]


def test_the_last_stage_has_neither_the_build_nor_its_tools() -> None:
    assert all_of("FROM") == ["debian:12-slim AS system", "system AS build", "system"]
    assert not any("figway setup" in rest for _, rest in last_stage())


def test_system_packages_come_from_the_launchers_list_by_the_launchers_installer() -> None:
    launcher = (ROOT / "figway").read_text()
    install = all_of("RUN")[0]
    for shared in ("deploy/install-packages.sh", "deploy/packages.txt"):
        assert shared in launcher
        assert shared in install
        assert shared in copied_from_the_checkout()
    assert """$(awk '$1 == "run" { print $2 }' deploy/packages.txt)""" in install
    assert "apt-get" not in TEXT


def test_the_environment_is_built_by_the_launcher_from_its_lock() -> None:
    assert "./figway setup run" in all_of("RUN")
    assert {"figway", "requirements.lock"} <= set(copied_from_the_checkout())
    assert not re.search(r"\bpip\b|\buv\b|--mount|curl|wget", TEXT)
    assert "COPY --from=build /opt/figway ./" in TEXT


def test_everything_copied_exists_and_passes_dockerignore_and_nothing_is_fetched() -> None:
    assert all_of("ADD") == []
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied_from_the_checkout():
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) or source.startswith(pattern + "/") for pattern in kept), source
    assert {"adapters", "scoring", "wrapper"} <= set(copied_from_the_checkout())
    assert not {"fixtures", "tests"} & set(copied_from_the_checkout())


def test_it_runs_without_root_and_is_asked_whether_it_lives() -> None:
    names = [instruction for instruction, _ in last_stage()]
    assert names.count("USER") == 1
    assert all_of("USER") == ["10001"]
    assert "COPY" not in names[names.index("USER") :]  # what is copied belongs to root and can't be changed by the service
    assert "/health/live" in all_of("HEALTHCHECK")[0]
    assert re.search(r'url_prefix="/health"[^@]+@health.get\("/live"\)', (ROOT / "wrapper/http.py").read_text())


def test_it_serves_by_the_command_that_the_launcher_starts_on_the_port_it_exposes() -> None:
    entry = json.loads(all_of("ENTRYPOINT")[0])
    assert entry == ["/opt/figway/.venv/bin/python", "-P", "-m", "wrapper.cli"]
    assert '/bin/python" -P -m wrapper.cli "$@"' in (ROOT / "figway").read_text()
    assert json.loads(all_of("CMD")[-1]) == ["serve"]
    assert "ORT_DISABLE_TELEMETRY=1" in all_of("ENV")[0]
    assert "export ORT_DISABLE_TELEMETRY=1" in (ROOT / "figway").read_text()
    assert f"FIGWAY_BIND=0.0.0.0:{all_of('EXPOSE')[0]}" in all_of("ENV")[0]
    assert f"FIGWAY_STATE=sqlite:///{all_of('VOLUME')[0]}/" in all_of("ENV")[0]


def test_it_writes_to_its_volume_and_to_memory_alone() -> None:
    """What it says of itself; that it holds is seen with a read-only root (docs/operations.md)."""
    settings = dict(word.split("=", 1) for word in all_of("ENV")[0].split())
    [volume] = all_of("VOLUME")
    assert settings["TMPDIR"] == "/dev/shm"
    assert settings["PYTHONDONTWRITEBYTECODE"] == "1"
    assert {settings["FIGWAY_STATE"].removeprefix("sqlite:///").rpartition("/")[0], settings["FIGWAY_STATE_KEY"].rpartition("/")[0]} == {
        volume
    }
    assert "--read-only" in (ROOT / "Dockerfile").read_text().partition("FROM")[0]
