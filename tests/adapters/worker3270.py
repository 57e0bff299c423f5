"""A worker process as far as the 3270 pool can tell: leases over the store at STATE, THREADS callers, CALLS enquiries in all.

    python -m tests.adapters.worker3270 PORT STATE THREADS CALLS

It prints `up` after its first answer and the seconds of its slowest one at the end; then it holds what it has until its stdin ends.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from fixtures import customers
from tests.adapters.bank import ENQUIRY, call, opened
from wrapper.state.holder import Holder
from wrapper.state.store import Store


def main(port: str, state: str, threads: str, calls: str) -> None:
    store = Store(state)
    leases = Holder(store)
    adapter = opened(("127.0.0.1", int(port)), leases=leases)
    people = customers.everyone()

    def ask(n: int) -> float:
        began = time.monotonic()
        (record,) = adapter.call(call(ENQUIRY, people[n].id, seconds=20)).records
        assert (record["customer"], record["name"]) == (people[n].id, people[n].name)
        return time.monotonic() - began

    ask(0)
    print("up", flush=True)
    with ThreadPoolExecutor(int(threads)) as pool:
        print(max(pool.map(ask, range(int(calls)))), flush=True)
    sys.stdin.read()
    adapter.close()
    leases.close()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
