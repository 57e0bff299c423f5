"""Runs attacks that need no server, in a process of their own: `python -m tests.attack.child attack|twin NAME...`; a line of JSON each."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from tests.attack.parts import attempt
from tests.attack.suite import NAMED

SECONDS = 20


def _out_of_time(*_: object) -> None:
    raise TimeoutError(f"not done in {SECONDS} s")


def main(which: str, names: list[str]) -> None:
    signal.signal(signal.SIGALRM, _out_of_time)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="figway-attack-") as folder:
            signal.alarm(SECONDS)
            try:
                seen = attempt(getattr(NAMED[name], which), Path(folder))
                told = {"name": name, "got": seen.got, "what": seen.what}
            except Exception as error:  # noqa: BLE001 - told, and it counts as a fault
                told = {"name": name, "fault": f"{type(error).__name__}: {error}; {traceback.format_exc(limit=-2)[-300:]}"}
            finally:
                signal.alarm(0)
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
