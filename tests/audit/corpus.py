"""A trail to tamper with: writers that ended, died torn, were purged and live yet, over several segments, with anchors and an old copy."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wrapper.audit import lines, signing
from wrapper.audit.anchor import PURGED, Anchor, Anchors
from wrapper.audit.chain import Chain
from wrapper.audit.purge import purge
from wrapper.audit.verify import Verified, verify

SEGMENT = 4000  # bytes: some twenty records
OLD = "2020-01-01"


@dataclass(frozen=True)
class Corpus:
    """`trail` is what is there now, `before` a copy of when it was anchored first. `live` has written on since the last anchor, from record
    `window` on. `order` names the writers."""

    trail: Path
    before: Path
    anchors: Path
    public: Ed25519PublicKey
    live: str
    window: int
    order: tuple[str, ...]

    def faults(self, trail: Path) -> list[Verified]:
        """The writers at fault in a copy of it."""
        return [each for each in verify(trail, Anchors(self.anchors, self.public), self.public) if each.fault is not None]


def bodies(rng: random.Random, many: int, at: str) -> list[bytes]:
    kinds = ("read", "intent", "write", "denied")
    return [
        lines.packed({"at": f"{at}T00:00:00.{n:03}Z", "kind": rng.choice(kinds), "who": f"caller-{rng.randrange(9)}", "op": "customer"})
        for n in range(many)
    ]


def grown(chain: Chain, rng: random.Random, many: int, at: str = "2026-01-01") -> None:
    made = bodies(rng, many, at)
    for n in range(0, many, 5):
        chain.append(made[n : n + 5])


@contextmanager
def corpus(folder: Path, seed: int = 1) -> Iterator[Corpus]:
    rng, trail, anchors = random.Random(seed), folder / "trail", folder / "anchors.log"
    signing.make_key(folder / "key")
    anchor = Anchor(trail, folder / "key", anchors)
    ended, died, old, live, short = (Chain(trail, {"process": "test"}, SEGMENT) for _ in range(5))
    grown(old, rng, 80, OLD)
    for chain in (ended, died, live):
        grown(chain, rng, 50)
    anchor.turn()
    shutil.copytree(trail, folder / "before")
    grown(old, rng, 40)
    for chain in (ended, died, live, short):
        grown(chain, rng, 30)
    for chain in (ended, short):
        chain.end()
    for chain in (ended, short, died, old):
        chain.close()
    with lines.segments(trail / died.id)[-1].open("ab") as file:
        file.write(b'{"n":83,"prev":"00')  # as a kill leaves it
    assert purge(trail, "2021-01-01", "carol", "seven years are over", anchor) >= 2
    assert not anchor.turn()
    order = (PURGED, *(chain.id for chain in (ended, died, old, live, short)))
    n = live.append(bodies(rng, 1, "2026-01-02"))
    grown(live, rng, 4)
    try:
        yield Corpus(trail, folder / "before", anchors, anchor.key.public_key(), live.id, n, order)
    finally:
        live.close()
