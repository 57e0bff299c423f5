"""A private OpenSSH server for one test session: own keys, own configuration, loopback only, stopped by the process that we started."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from pathlib import Path

from tests import needs
from tests.waiting import free_port

CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxSessions 10
Subsystem sftp internal-sftp
"""


class Sshd:
    """Logs on the user who runs the tests, by `key`; files are the machine's own, so tests use absolute paths."""

    def __init__(self, folder: Path) -> None:
        self._program, self._folder = needs.program("sshd"), folder
        self.user = getpass.getuser()

    def start(self) -> tuple[str, int]:
        for name in ("host", "user"):
            subprocess.run(
                [needs.program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", self._folder / name], check=True, timeout=20
            )
        self.host_key = " ".join((self._folder / "host.pub").read_text().split()[:2])
        self.key = (self._folder / "user").read_text()
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where a root sshd keeps its unprivileged half
        self.address = ("127.0.0.1", free_port())
        config = self._folder / "config"
        config.write_text(CONFIG.format(port=self.address[1], folder=self._folder))
        self._process = subprocess.Popen([self._program, "-D", "-f", config, "-E", self._folder / "log"])
        self._wait()
        return self.address

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _wait(self) -> None:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(self.address, 1).close()
                return
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise RuntimeError(f"sshd did not start: {(self._folder / 'log').read_text()[-500:]}") from None
                time.sleep(0.02)
