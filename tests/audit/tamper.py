"""`make tamper`: a trail is tampered with in so many seeded ways, each on a copy, and each must be found against the anchors.

Naively, and by somebody who knows the format: who numbers and hashes all records anew that follow what was changed. What comes after the
last anchor is left alone: nothing could tell.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.audit.corpus import Corpus, bodies, corpus
from wrapper.audit import lines
from wrapper.audit.anchor import PURGED

_PLACE = re.compile(rb'^\{"n":\d+,"prev":"[0-9a-f]{64}",')


def _writers(trail: Path, it: Corpus) -> list[Path]:
    """In the order of their making: their names are random."""
    return [trail / name for name in it.order if (trail / name).is_dir()]


def _files(trail: Path, it: Corpus, least: int = 1) -> list[Path]:
    """Those that have so many anchored records."""
    return [file for writer in _writers(trail, it) for file in lines.segments(writer) if len(_kept(file, it)) >= least]


def _kept(file: Path, it: Corpus) -> list[bytes]:
    """The file's records that are anchored; the rest of the live writer's are the window."""
    whole = [line for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return whole if file.parent.name != it.live else [line for line in whole if int(line[5 : line.index(b",")]) < it.window]


def _changed(rng: random.Random, file: Path, it: Corpus, change: Callable[[list[bytes]], None]) -> None:
    """The file with its anchored lines changed, naively or with everything after them made to fit."""
    kept, whole = _kept(file, it), file.read_bytes()
    rest = whole[len(b"".join(kept)) :]
    made = list(kept)
    while made == kept:
        made = list(kept)
        change(made)
    file.write_bytes(b"".join(made) + rest)
    if rng.random() < 0.5:
        _fitted(file.parent)


def _fitted(writer: Path) -> None:
    """Every record of a writer numbered and bound anew."""
    files = lines.segments(writer)
    first = re.match(rb'\{"n":(\d+),"prev":"([0-9a-f]{64})",', files[0].read_bytes())
    n, prev = (int(first[1]) - 1, first[2].decode()) if first else (0, lines.START)
    for file in files:
        made = []
        for line in file.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                made.append(line)
                continue
            body = b"{" + (line[:-1][found.end() :] if (found := _PLACE.match(line)) else line[:-1].lstrip(b"{"))
            n += 1
            bound = lines.linked(n, prev, body)
            prev = lines.digest(bound)
            made.append(bound + b"\n")
        file.write_bytes(b"".join(made))


def edit(rng: random.Random, trail: Path, it: Corpus) -> None:
    def change(kept: list[bytes]) -> None:
        at = rng.randrange(len(kept))
        line = bytearray(kept[at])
        line[rng.randrange(len(line) - 1)] = rng.choice(b"abcxyz0189")
        kept[at] = bytes(line)

    _changed(rng, rng.choice(_files(trail, it)), it, change)


def delete(rng: random.Random, trail: Path, it: Corpus) -> None:
    def change(kept: list[bytes]) -> None:
        at, many = rng.randrange(len(kept)), rng.choice((1, 1, 3))
        del kept[at : at + many]

    _changed(rng, rng.choice(_files(trail, it)), it, change)


def swap(rng: random.Random, trail: Path, it: Corpus) -> None:
    def change(kept: list[bytes]) -> None:
        one, other = rng.randrange(len(kept)), rng.randrange(len(kept))
        kept[one], kept[other] = kept[other], kept[one]

    _changed(rng, rng.choice(_files(trail, it, 2)), it, change)


def truncate(rng: random.Random, trail: Path, it: Corpus) -> None:
    """The end of a writer, anywhere in what was anchored; the segments after it too."""
    writer = rng.choice(_writers(trail, it))
    files = lines.segments(writer)
    at = rng.randrange(len(files))
    for file in files[at + 1 :]:
        file.unlink()
    size = len(b"".join(_kept(files[at], it))) or 1
    with files[at].open("r+b") as opened:
        opened.truncate(rng.randrange(size))


def append(rng: random.Random, trail: Path, it: Corpus) -> None:
    """After the end of a writer, or in its middle, a record that fits, or something that does not."""
    last = [lines.segments(writer)[-1] for writer in _writers(trail, it) if writer.name not in (it.live, PURGED)]
    file = rng.choice([*_files(trail, it, 2), *last])
    (body,) = bodies(rng, 1, "2026-01-03")
    if file in last:
        kept = _kept(file, it)
        n, fits = int(kept[-1][5 : kept[-1].index(b",")]) + 1, lines.digest(kept[-1][:-1])
        forged = lines.linked(n, rng.choice((fits, fits, lines.START)), body)
        file.write_bytes(b"".join(kept) + forged + rng.choice((b"\n", b"\n", b"")))
    else:
        _changed(rng, file, it, lambda kept: kept.insert(rng.randrange(1, len(kept)), lines.linked(7, lines.START, body) + b"\n"))


def drop(rng: random.Random, trail: Path, it: Corpus) -> None:
    """A writer, or one of its segments."""
    if rng.random() < 0.6:
        shutil.rmtree(rng.choice(_writers(trail, it)))
    else:
        rng.choice(_files(trail, it)).unlink()


def restore(rng: random.Random, trail: Path, it: Corpus) -> None:
    """An old copy, of everything or of one writer."""
    if rng.random() < 0.4:
        shutil.rmtree(trail)
        shutil.copytree(it.before, trail)
        return
    writer = rng.choice(_writers(it.before, it)).name
    shutil.rmtree(trail / writer, ignore_errors=True)
    shutil.copytree(it.before / writer, trail / writer)


def _content(trail: Path) -> dict[str, bytes]:
    return {f"{file.parent.name}/{file.name}": file.read_bytes() for file in trail.glob("*/*.log")}


WAYS = (edit, delete, swap, truncate, append, drop, restore)


def run(folder: Path, many: int, seed: int) -> tuple[int, list[str]]:
    """How many were found, and what was not."""
    missed = []
    with corpus(folder, seed) as it:
        assert not it.faults(it.trail), "the trail itself is sound"
        for n in range(many):
            rng, copy, way = random.Random(f"{seed}/{n}"), folder / "copy", WAYS[n % len(WAYS)]
            while not copy.exists() or _content(copy) == _content(it.trail):  # some changes come to nothing
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(it.trail, copy)
                way(rng, copy, it)
            if not it.faults(copy):
                missed.append(f"{way.__name__} (seed {seed}/{n})")
            shutil.rmtree(copy)
    return many - len(missed), missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make tamper", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--many", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found, missed = run(Path(folder), given.many, given.seed)
    for each in missed:
        print(f"not found: {each}")
    print(f"tamperings: {found} of {given.many} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
