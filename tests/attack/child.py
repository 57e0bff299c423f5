"""Runs attacks that need no server, in a process of their own, each told of as a line of JSON.

python -m tests.attack.child attack|twin MODULE NAME...      those of this module: all the others would only be imported
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path

from tests.attack.parts import attempt

SECONDS = 20


def _out_of_time(*_: object) -> None:
    raise TimeoutError(f"not done in {SECONDS} s")


def main(which: str, module: str, names: list[str]) -> None:
    attacks = {attack.name: attack for attack in import_module(module).ATTACKS}
    signal.signal(signal.SIGALRM, _out_of_time)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="figway-attack-") as folder:
            signal.alarm(SECONDS)
            try:
                seen = attempt(getattr(attacks[name], which), Path(folder))
                told = {"name": name, "got": seen.got, "what": seen.what}
            except Exception as error:  # noqa: BLE001 - told, and it counts as a fault
                told = {"name": name, "fault": f"{type(error).__name__}: {error}; {traceback.format_exc(limit=-2)[-300:]}"}
            finally:
                signal.alarm(0)
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
