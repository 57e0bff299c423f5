"""./figway with stand-ins for Python, apt and pip on the PATH: what it decides, says and leaves behind. No network, no root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.waiting import until

ROOT = Path(__file__).parents[2]
TOOLS = ["sh", "cat", "cksum", "readlink", "rm", "mkdir", "awk", "flock", "cp", "sleep"]

# Says its version, makes "environments" that are copies of itself, and writes down each pip run and what it was started with.
PYTHON = """#!/bin/sh
case "$*" in
    --version) echo "Python ${{VERSION-{version}}}" ;;
    *_base_executable*) echo "$0" ;;
    *ensurepip*) [ ! -e {world}/no-ensurepip ] ;;
    *os.replace*) exec {real} "$@" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && for x in ruff mypy lint-imports; do cp {world}/check "$3/bin/$x"; done ;;
    *"pip install"*) echo "pip $*" >>{log}; if [ -e {world}/slow ]; then sleep 0.5; fi; [ ! -e {world}/offline ] ;;
    *"-m pytest"*) echo "3 passed in 0.01s"; exit "$(cat {world}/pytest-status)" ;;
    *) printf 'ran by %s in %s with %s, telemetry off: %s, bytecode %s\\n' "$0" "$PWD" "$PYTHONPATH" \
        "$ORT_DISABLE_TELEMETRY" "${{PYTHONDONTWRITEBYTECODE-kept}}"; for a in "$@"; do printf '<%s>' "$a"; done ;;
esac
"""
CHECK = '#!/bin/sh\n[ ! -e {world}/untidy ] || {{ echo "untidy: ${{0##*/}} $*"; exit 1; }}\n'
DPKG_QUERY = '#!/bin/sh\nfor p in "$@"; do :; done\ncase " $(cat {world}/installed) " in *" $p "*) echo "installed ";; *) exit 1;; esac\n'
INSTALLER = """echo "apt $*" >>{log}
printf '%s ' "$@" >>{world}/installed
if [ -e {world}/apt-brings-python ]; then cp {world}/python {bin}/python3; fi
"""
SUDO = '#!/bin/sh\necho "sudo $*" >>{log}\n[ ! -e {world}/no-sudo ] || exit 1\n[ "$1" != -n ] || shift\nexec "$@"\n'
ALL_OF_RUN = "ca-certificates libsqliteodbc s3270 unixodbc"


class World:
    """A checkout with the real launcher, and a PATH on which nothing real can change the machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.checkout, self.bin, self.log = folder, folder / "check out", folder / "bin", folder / "log"
        for made in (self.checkout / "deploy", self.checkout / "tests", self.bin):
            made.mkdir(parents=True)
        for copied in ("figway", "deploy/packages.txt", "requirements.lock", "tests/requirements.lock"):
            shutil.copy2(ROOT / copied, self.checkout / copied)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self.state("installed", ALL_OF_RUN + " ")
        self.state("pytest-status", "0")
        self.write(self.checkout / "deploy/install-packages.sh", INSTALLER)
        self.write(folder / "check", CHECK)
        self.write(folder / "python", PYTHON)
        self.write(self.bin / "python3", PYTHON)
        self.write(self.bin / "dpkg-query", DPKG_QUERY)
        self.write(self.bin / "apt-get", "#!/bin/sh\necho 'apt-get was called by the launcher itself'; exit 9\n")
        self.write(self.bin / "sudo", SUDO)
        self.write(self.bin / "id", "#!/bin/sh\necho 1000\n")

    def write(self, path: Path, text: str, version: str = "3.12.7") -> None:
        path.write_text(text.format(world=self.folder, log=self.log, bin=self.bin, real=sys.executable, version=version))
        path.chmod(0o755)

    def state(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def figway(self, *args: str, start: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(start or self.checkout / "figway"), *args]
        environ = {"PATH": str(self.bin), "PYTHONPATH": "/somebody/elses", "PIP_TARGET": "/somebody/elses", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def done(self) -> list[str]:
        """What was done through pip, apt and sudo since the last question."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def change_lock(self) -> None:
        with (self.checkout / "requirements.lock").open("a") as lock:
            lock.write("# changed\n")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_first_start_builds_from_the_lock_with_hashes_and_runs_the_command(world: World) -> None:
    ran = world.figway("routes")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("<-P><-m><wrapper.cli><routes>")
    assert ran.stderr.splitlines() == [f"figway: building .venv from requirements.lock with {world.bin}/python3"]
    build_tools, everything = world.done()
    assert all("--require-hashes --use-pep517 --only-binary=:all:" in line for line in (build_tools, everything))
    assert build_tools.endswith("build.lock")
    assert "--no-build-isolation" in everything
    assert everything.endswith("/requirements.lock")
    assert "setuptools==" in (world.checkout / ".venv/build.lock").read_text()
    assert (world.checkout / ".venv/build.lock").read_text().count("==") == 1


def test_a_later_start_needs_neither_apt_nor_pip_nor_a_python_on_the_path(world: World) -> None:
    world.figway("routes")
    world.done()
    for name in ("python3", "apt-get", "dpkg-query", "sudo"):
        (world.bin / name).unlink()
    started = []
    for _ in range(10):
        begin = time.perf_counter()
        ran = world.figway("routes")
        started.append(time.perf_counter() - begin)
        assert (ran.returncode, ran.stderr) == (0, "")
    assert world.done() == []
    assert min(started) < 0.05


def test_arguments_arrive_as_they_were_given_through_a_link_from_any_folder(world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "direct").symlink_to(world.checkout / "figway")
    (elsewhere / "fw").symlink_to("direct")
    given = ["call", "a b", "", "*", "it's", 'x"y', "two\nlines", "\\n", "$HOME", "-x"]
    ran = world.figway(*given, start=elsewhere / "fw", cwd=elsewhere)
    where, _, arguments = ran.stdout.partition("\n")
    assert arguments == "".join(f"<{a}>" for a in ["-P", "-m", "wrapper.cli", *given])
    assert where == f"ran by {world.checkout}/.venv.a/bin/python in {elsewhere} with {world.checkout}, telemetry off: 1, bytecode kept"


def test_a_python_that_is_too_old_is_one_sentence(world: World) -> None:
    world.write(world.bin / "python3", PYTHON, version="3.9.2")
    ran = world.figway("demo")
    assert ran.returncode == 1
    assert ran.stderr.startswith("figway: Python 3.11 or newer is needed but python3 is 3.9.2: install Python 3.11, 3.12 or 3.13")
    assert len(ran.stderr.splitlines()) == 1
    assert world.done() == []


def test_a_newer_python_beside_a_too_old_one_is_found_by_running_them(world: World) -> None:
    world.write(world.bin / "python3", PYTHON, version="3.9.2")
    world.write(world.bin / "python3.13", "#!/bin/sh\necho 'shim: python3.13: command not found' >&2; exit 127\n")
    world.write(world.bin / "python3.12", PYTHON)
    ran = world.figway("routes")
    assert ran.returncode == 0
    assert ran.stderr.endswith(f"with {world.bin}/python3.12\n")


def test_missing_packages_are_named_and_installed_asking_nobody(world: World) -> None:
    world.state("installed", "unixodbc ca-certificates ")
    ran = world.figway("demo")
    assert ran.returncode == 0
    assert ran.stderr.startswith("figway: installing with sudo -n apt-get: libsqliteodbc s3270\n")
    installer = world.checkout / "deploy/install-packages.sh"
    assert world.done()[:2] == [f"sudo -n sh {installer} libsqliteodbc s3270", "apt libsqliteodbc s3270"]


def test_root_needs_no_sudo(world: World) -> None:
    world.write(world.bin / "id", "#!/bin/sh\necho 0\n")
    (world.bin / "sudo").unlink()
    world.state("installed")
    assert world.figway("demo").returncode == 0
    assert world.done()[0] == f"apt {ALL_OF_RUN}"


def test_without_the_right_to_install_the_command_to_type_is_said(world: World) -> None:
    world.state("installed", "unixodbc ")
    world.state("no-sudo")
    ran = world.figway("demo")
    assert ran.returncode == 1
    assert "as root, do: apt-get install --no-install-recommends ca-certificates libsqliteodbc s3270 " in ran.stderr
    assert not (world.checkout / ".venv").exists()


def test_a_python_without_ensurepip_gets_its_venv_package(world: World) -> None:
    world.state("no-ensurepip")
    ran = world.figway("demo")
    assert world.done()[1] == "apt python3.12-venv"
    assert ran.returncode == 1  # the stand-in still lacks it
    assert "lacks the modules venv and ensurepip" in ran.stderr


def test_where_there_is_no_python_apt_brings_one(world: World) -> None:
    (world.bin / "python3").unlink()
    world.state("apt-brings-python")
    ran = world.figway("demo")
    assert ran.returncode == 0, ran.stderr
    assert world.done()[1] == "apt python3 python3-venv"


def test_without_apt_the_missing_programs_are_named_and_the_rest_is_set_up(world: World) -> None:
    (world.bin / "apt-get").unlink()
    world.write(world.bin / "odbcinst", "#!/bin/sh\n")
    ran = world.figway("demo")
    assert ran.returncode == 0
    assert "neither Debian nor Ubuntu, so nothing is installed for you; these programs are missing: s3270\n" in ran.stderr


def test_the_test_group_brings_more_and_serves_the_run_group_too(world: World) -> None:
    assert world.figway("setup", "test").returncode == 0
    did = world.done()
    assert did[1] == "apt gnucobol3 curl odbc-postgresql openssh-server postgresql"
    assert did[-1].endswith("/tests/requirements.lock")
    assert world.figway("routes").returncode == 0
    assert world.done() == []


def test_an_unknown_group_is_refused(world: World) -> None:
    ran = world.figway("setup", "everything")
    assert (ran.returncode, ran.stderr) == (1, "figway: there is no group 'everything' to set up: run or test\n")


def test_a_half_built_environment_is_never_used(world: World) -> None:
    half = world.checkout / ".venv.a"
    (half / "bin").mkdir(parents=True)
    (half / "bin/python").symlink_to("/bin/false")
    (world.checkout / ".venv").symlink_to(".venv.a")
    ran = world.figway("routes")
    assert ran.returncode == 0
    assert f"ran by {world.checkout}/.venv.b/bin/python" in ran.stdout


def test_a_build_that_is_killed_is_done_again_from_nothing(world: World) -> None:
    world.state("slow")
    launcher = subprocess.Popen([world.checkout / "figway", "routes"], env={"PATH": str(world.bin)}, stderr=subprocess.DEVNULL)
    until(world.log.exists)
    launcher.kill()
    launcher.wait()
    (world.checkout / ".venv.a/left-over").touch()
    assert not (world.checkout / ".venv").exists()
    (world.folder / "slow").unlink()
    assert world.figway("routes").returncode == 0
    assert not (world.checkout / ".venv.a/left-over").exists()


def test_an_environment_made_by_hand_is_replaced(world: World) -> None:
    (world.checkout / ".venv/bin").mkdir(parents=True)
    assert world.figway("routes").returncode == 0
    assert os.readlink(world.checkout / ".venv") == ".venv.a"


def test_a_changed_lock_builds_beside_the_environment_that_is_in_use(world: World) -> None:
    world.figway("routes")
    world.change_lock()
    assert f"ran by {world.checkout}/.venv.b/" in world.figway("routes").stdout
    assert (world.checkout / ".venv.a/bin/python").exists()
    world.change_lock()
    assert f"ran by {world.checkout}/.venv.a/" in world.figway("routes").stdout


def test_a_failed_build_leaves_the_old_environment_and_says_so(world: World) -> None:
    world.figway("routes")
    lock = (world.checkout / "requirements.lock").read_text()
    world.change_lock()
    world.state("offline")
    ran = world.figway("routes")
    assert ran.returncode == 1
    assert "could not be installed, for the reason above; the environment that was there before is untouched" in ran.stderr
    (world.checkout / "requirements.lock").write_text(lock)
    assert world.figway("routes").returncode == 0


def test_two_first_starts_at_once_build_one_environment(world: World) -> None:
    world.state("slow")
    ran: list[subprocess.CompletedProcess[str]] = []
    starts = [threading.Thread(target=lambda: ran.append(world.figway("routes"))) for _ in range(2)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert [r.returncode for r in ran] == [0, 0]
    assert len(world.done()) == 2  # one build: the build tools, then the rest
    assert any("another figway is setting up this checkout; waiting for it" in r.stderr for r in ran)


@pytest.mark.parametrize(
    "pytest_status, untidy, expected", [("0", False, 0), ("1", False, 1), ("5", False, 5), ("0", True, 1), ("2", True, 2)]
)
def test_figway_test_ends_with_what_pytest_says_and_hides_no_failure(world: World, pytest_status: str, untidy: bool, expected: int) -> None:
    world.state("pytest-status", pytest_status)
    if untidy:
        world.state("untidy")
    ran = world.figway("test", "-k", "one")
    assert ran.returncode == expected
    assert ran.stdout.splitlines()[-1] == "3 passed in 0.01s"
    assert ("static checks that failed, see above: ruff check, ruff format --check, mypy, lint-imports --no-logo" in ran.stderr) is untidy


def test_ci_runs_what_a_user_runs() -> None:
    lines = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[-1] == "exec ./figway test"
    assert len(lines) == 3
