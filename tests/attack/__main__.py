"""`make attack`: every attack, its twin, and the attack without its control. Exit 0 when all is as it should be.

python -m tests.attack [NAME...]        those whose names begin so
"""

from __future__ import annotations

import argparse
import sys

from tests.attack.run import run
from tests.attack.suite import ATTACKS


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("names", nargs="*")
    names = tuple(asked.parse_args().names) or ("",)
    chosen = [attack for attack in ATTACKS if attack.name.startswith(names)]
    return 0 if run(chosen, lambda line: print(line, flush=True)) else 1


if __name__ == "__main__":
    sys.exit(main())
