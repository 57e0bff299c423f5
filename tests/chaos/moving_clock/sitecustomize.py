"""A wall clock that a test moves: put before a process by PYTHONPATH, it adds the seconds that a file says to time.time().

The monotonic clock is left alone, as the kernel leaves it alone when somebody sets the time. A preloaded library that fakes the C clock
broke Python's sleep (EINVAL), so this stands in for it.
"""

import os
import time

_FILE = os.environ["FIGWAY_TEST_CLOCK"]
_now = time.time


def _moved() -> float:
    with open(_FILE, encoding="ascii") as told:
        return _now() + float(told.read() or 0)


time.time = _moved
