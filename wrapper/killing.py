"""The kill switch: endpoints to legacy now, in the words of one person. It asks no gate, and where the state store is away no store either:
then a file does it, for one host (kill_file.py)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wrapper import kill_file, promotion
from wrapper.migrating import Said, reasoned, with_others
from wrapper.migration.decide import LEGACY
from wrapper.operation import Catalogue
from wrapper.problems import NoSuchThing, NotReady
from wrapper.state.store import Store
from wrapper.units import iso


@dataclass(frozen=True, slots=True)
class Named:
    """Endpoints of a `group`; none are all endpoints of all groups. `known`: whether a catalogue has them; else the store must."""

    names: Sequence[str] = ()
    group: str | None = None
    known: bool = True


def named(catalogue: Catalogue, name: str) -> Named:
    """The endpoint with those that move with it. Raises NoSuchThing."""
    return Named(with_others(catalogue, name), catalogue.operations[name].group)


def kill(store: Store | None, folder: Path, which: Named, said: Said, away: str = "it was not asked") -> dict[str, Any]:
    """These endpoints to legacy now, all that are not there if none is named: in the store, and where that is away (None, since `away`; or
    it says so), in this host's file. Asks nothing first: a record of which legacy lacks writes stays at modern by the store, and is
    refused by the file."""
    reasoned(said)
    names = which.names
    try:
        if store is not None:
            return _killed(store, which, said)
    except NotReady as error:
        away = str(error)
    held = dict.fromkeys(names or [kill_file.ALL], f"{iso(time.time())} {said.who}: {said.why}")
    file = folder / kill_file.NAME
    try:
        kill_file.write(folder, {**kill_file.read(folder), **held})
    except OSError as error:
        raise NotReady(
            f"neither the state store nor {file} could be written ({error.strerror}): write {', '.join(held)} there by hand, on every host"
        ) from None
    note = "this holds for this host only: do it on every host; later, `figway migrate kill` again and `figway migrate unkill` on each"
    return {"killed": list(held), "by": "file", "file": str(file), "store": away, "notes": [note]}


def unkill(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Takes names out of this host's file, all if there are none; the stages in the store are as they are."""
    held, file = kill_file.read(folder), folder / kill_file.NAME
    unknown = [name for name in names if name not in held]
    if unknown or not held:
        met = f"holds {', '.join(held)}" if held else "holds nothing"
        raise NoSuchThing(
            f"{', '.join(unknown) or 'nothing'} can't be taken out of {file}, which {met}; `migrate status` says where it stands"
        )
    left = {name: text for name, text in held.items() if names and name not in names}
    try:
        kill_file.write(folder, left)
    except OSError as error:
        raise NotReady(f"{file} can't be written ({error.strerror})") from None
    return {"freed": [name for name in held if name not in left], "held": list(left)}


def stand(store: Store, names: Sequence[str]) -> dict[str, str]:
    """Where these endpoints stand by the store; all that were ever moved, for kill_file.ALL."""
    moves = store.standings()[1]
    return {n: str(moves[n].standing) if n in moves else "legacy" for n in (moves if kill_file.ALL in names else names)}


def _killed(store: Store, which: Named, said: Said) -> dict[str, Any]:
    stages = {name: move.standing.stage for name, move in store.standings()[1].items()}
    if not which.known and (never := [name for name in which.names if name not in stages]):
        raise NoSuchThing(f"{', '.join(never)} was never moved, and no sound catalogue says that there is such an endpoint")
    proposals = {proposal.endpoint: proposal for proposal in store.proposals()}
    killed = list(which.names) or sorted({n for n, stage in stages.items() if stage not in ("legacy", "retired")} | set(proposals))
    if killed:
        store.move(killed, LEGACY, said.who, f"killed: {said.why}", ticket=said.ticket)
    dropped = [f"{p.endpoint}: the proposal of {p.who} ({p.standing}) is dropped" for n, p in proposals.items() if n in killed]
    return {
        "killed": killed, "by": "store", "from": {name: stages.get(name, "legacy") for name in killed},
        "notes": [*dropped, *promotion.still_modern(store, which.group)],
    }  # fmt: skip
