"""deploy/install-packages.sh with its root moved to a temporary folder and an apt-get that behaves like Debian's packages do."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests import needs
from tests.waiting import until

SCRIPT = Path(__file__).parents[2] / "deploy/install-packages.sh"

# Writes down how it was called and what it found, then does what the maintainer scripts of openssh-server do.
APT_GET = """#!/bin/sh
echo "$* (DEBIAN_FRONTEND=$DEBIAN_FRONTEND)" >>{log}
case "$*" in *" update") [ ! -e {root}/offline ]; exit ;; esac
sh {policy}; echo "policy says $?" >>{log}
cat {cluster} >>{log}
ln -s ../ssh.service {wants}/ssh.service
ln -s ../init.d/ssh {rc}/S01ssh
if [ -e {root}/slow ]; then sleep 0.5; fi
[ ! -e {root}/broken ] || {{ echo "E: Unable to locate package" >&2; exit 100; }}
"""


class Root:
    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root / "log"
        self.policy = root / "usr/sbin/policy-rc.d"
        self.cluster = root / "etc/postgresql-common/createcluster.d/zz-figway.conf"
        self.wants, self.rc = root / "etc/systemd/system/multi-user.target.wants", root / "etc/rc3.d"
        for folder in (self.policy.parent, self.wants, self.rc, root / "bin"):
            folder.mkdir(parents=True)
        (self.wants / "cron.service").symlink_to("../cron.service")
        (self.rc / "S01cron").symlink_to("../init.d/cron")
        self._program("apt-get", APT_GET.format(**vars(self)))
        self._program("update-rc.d", f'#!/bin/sh\n[ "$2" = disable ] && mv {self.rc}/S01$1 {self.rc}/K01$1\n')
        text = SCRIPT.read_text().replace("/usr/sbin", str(self.policy.parent)).replace("/etc/", f"{root}/etc/")
        (root / "install-packages.sh").write_text(text)

    def _program(self, name: str, text: str) -> None:
        (self.root / "bin" / name).write_text(text)
        (self.root / "bin" / name).chmod(0o755)

    def start(self) -> subprocess.Popen[str]:
        command = ["sh", str(self.root / "install-packages.sh"), "openssh-server", "postgresql"]
        environ = {"PATH": f"{self.root}/bin:/usr/bin:/bin", "TMPDIR": str(self.root)}
        return subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_ctrl_c)

    def links(self) -> list[str]:
        return sorted(path.name for folder in (self.wants, self.rc) for path in folder.iterdir())

    def nothing_is_left(self) -> bool:
        return not self.policy.exists() and not self.cluster.parent.parent.exists() and not list(self.root.glob("tmp.*"))


def heed_ctrl_c() -> None:
    """A test run in the background of a script has SIGINT ignored, and a shell can't trap what was ignored when it began."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    needs.program("flock")
    return Root(tmp_path)


def test_nothing_is_asked_started_enabled_or_left(root: Root) -> None:
    script = root.start()
    _, errors = script.communicate(timeout=30)
    assert (script.returncode, errors) == (0, "")
    log = root.log.read_text()
    assert "install --yes --no-install-recommends --no-remove openssh-server postgresql (DEBIAN_FRONTEND=noninteractive)" in log
    assert "policy says 101" in log
    assert "create_main_cluster = false" in log
    assert root.links() == ["K01ssh", "S01cron", "cron.service"]
    assert root.nothing_is_left()


def test_the_policy_and_settings_that_were_there_before_stay(root: Root) -> None:
    root.policy.write_text("exit 104\n")
    root.cluster.parent.mkdir(parents=True)
    (root.cluster.parent / "mine.conf").write_text("ssl = off\n")
    root.start().communicate(timeout=30)
    assert "policy says 104" in root.log.read_text()
    assert root.policy.read_text() == "exit 104\n"
    assert [path.name for path in root.cluster.parent.iterdir()] == ["mine.conf"]


def test_stale_package_lists_are_a_warning_only(root: Root) -> None:
    (root.root / "offline").touch()
    script = root.start()
    assert "could not be refreshed" in script.communicate(timeout=30)[1]
    assert script.returncode == 0


def test_a_failed_installation_shows_why_and_leaves_nothing(root: Root) -> None:
    (root.root / "broken").touch()
    script = root.start()
    assert "E: Unable to locate package" in script.communicate(timeout=30)[1]
    assert script.returncode == 1
    assert root.links() == ["K01ssh", "S01cron", "cron.service"]
    assert root.nothing_is_left()


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_installation_enables_nothing_and_leaves_nothing(root: Root, number: signal.Signals, status: int) -> None:
    (root.root / "slow").touch()
    script = root.start()
    until((root.rc / "S01ssh").is_symlink)
    script.send_signal(number)  # dpkg goes on to its end; so may the script, but not without tidying up
    script.communicate(timeout=30)
    assert script.returncode == status
    assert root.links() == ["K01ssh", "S01cron", "cron.service"]
    assert root.nothing_is_left()
