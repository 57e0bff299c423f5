"""Numbers for Prometheus: added up over processes that live and have died, bounded in their labels, cheap."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from wrapper import metrics
from wrapper.metrics import HAPPENED, LEVELS, TOOK, Metrics
from wrapper.snapshot import shared_folder

ROOT = Path(__file__).parents[2]
COUNTING = """
import sys
from pathlib import Path
from wrapper.metrics import Metrics
counted = Metrics(Path(sys.argv[1]))
counted.request("customer", "legacy", 200, 0.003)
counted.call("core", "customer", "legacy", "ok", 0.002, 0.9)
counted.happened("shed", "core")
counted.level("sessions", "core", 2)
counted.level("breaker_state", "core", float(sys.argv[2]))
print("counted", flush=True)
sys.stdin.read()
"""


def value(page: str, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", page, re.M)
    return float(found[1]) if found else None


def counting(folder: Path, breaker: int) -> subprocess.Popen[str]:
    """A process that has counted and waits for its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTING, str(folder), str(breaker)],
        cwd=ROOT, env={"PROMETHEUS_MULTIPROC_DIR": str(folder)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def test_processes_are_added_up_and_of_a_dead_one_only_the_counts_stay(tmp_path: Path) -> None:
    folder = shared_folder(tmp_path / "shared")
    assert folder is not None
    living, dying = counting(folder, 0), counting(folder, 2)
    with living, dying:
        page = metrics.page(folder)[0].decode()
        assert value(page, 'figway_sessions{system="core"}') == 4
        assert value(page, 'figway_breaker_state{system="core"}') == 2
        dying.kill()
        dying.wait(10)
        page = metrics.page(folder)[0].decode()
        living.kill()
    assert (folder / f"counter_{dying.pid}.db").stat().st_size < 10_000
    assert value(page, 'figway_requests_total{operation="customer",side="legacy",status="200"}') == 2
    assert value(page, 'figway_request_seconds_count{operation="customer"}') == 2
    assert value(page, 'figway_backend_calls_total{operation="customer",outcome="ok",side="legacy",system="core"}') == 2
    assert value(page, 'figway_deadline_left_ratio_bucket{le="0.9",operation="customer",system="core"}') == 2
    assert value(page, 'figway_shed_total{system="core"}') == 2
    assert value(page, 'figway_sessions{system="core"}') == 2
    assert value(page, 'figway_breaker_state{system="core"}') == 0


def test_a_folder_that_can_not_be_written_leaves_a_process_with_its_own_numbers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert shared_folder(tmp_path / "file" / "below") is None
    counted = Metrics(tmp_path / "absent")
    counted.happened("retried", "core")
    assert value(counted.page()[0].decode(), 'figway_retried_total{system="core"}') == 1


def test_what_can_happen_has_happened_no_times_at_the_start() -> None:
    counted = Metrics()
    counted.begin(["core", "drop"])
    page = counted.page()[0].decode()
    assert {value(page, f'figway_{event}_total{{system="{name}"}}') for event in ("shed", "retried") for name in ("core", "drop")} == {0}
    assert value(page, 'figway_log_dropped_total{system="figway"}') == 0
    assert 'store_failed_total{system="core"}' not in page


def test_a_name_that_is_not_declared_is_not_counted_and_harms_nobody() -> None:
    counted = Metrics()
    counted.happened("unheard_of", "core")
    counted.level("unheard_of", "core", 1)
    counted.took("unheard_of", "core", 1)
    assert "unheard_of" not in counted.page()[0].decode()


@pytest.mark.parametrize(("method", "declared"), [("happened", HAPPENED), ("level", LEVELS), ("took", TOOK)])
def test_every_event_that_the_code_tells_of_is_declared(method: str, declared: dict[str, str]) -> None:
    """Where the name is not a literal, the literals that it can be are on the same line."""
    told = re.compile(rf"\b{method}(?:\(|, )([^,\n]*)[,)]")
    for package in ("adapters", "wrapper"):
        for file in (ROOT / package).rglob("*.py"):
            for call in told.finditer(file.read_text()):
                names = re.findall(r'"(\w+)"', call[1])
                assert set(names) <= declared.keys(), f"{file}: {method}({call[1]}) is not declared in wrapper/metrics.py"


def test_a_process_without_a_descriptor_left_counts_on(tmp_path: Path) -> None:
    folder = shared_folder(tmp_path / "shared")
    none_left = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
    script = COUNTING.replace("counted.request", f"{none_left}counted.request", 1)
    ran = subprocess.run(
        [sys.executable, "-c", script, str(folder), "0"], cwd=ROOT, env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert ran.stdout == "counted\n", ran.stderr


def test_a_process_that_finds_no_room_leaves_the_others_numbers_readable(tmp_path: Path) -> None:
    folder = shared_folder(tmp_path / "shared")
    assert folder is not None
    no_room = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    with counting(folder, 0) as living:
        subprocess.run(
            [sys.executable, "-c", no_room + COUNTING, str(folder), "0"], cwd=ROOT, env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
            stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=20,
        )  # fmt: skip
        page = metrics.page(folder)[0].decode()
        living.kill()
    assert value(page, 'figway_sessions{system="core"}') == 2
