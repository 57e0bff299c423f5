"""`make chaos`: every fault of every party against a real facade, as a table. Exit 0 when all were survived."""

from __future__ import annotations

import sys

from tests.chaos import table
from tests.chaos.script import main

if __name__ == "__main__":
    sys.exit(main("tests.chaos", __doc__, table.run, only=""))
