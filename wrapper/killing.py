"""The kill switch: endpoints to legacy now, in the words of one person. It asks no gate, and where the state store is away no store either:
then a file does it, for one host (kill_file.py)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wrapper import kill_file
from wrapper.migrating import Said, reasoned
from wrapper.migration.decide import LEGACY
from wrapper.problems import NoSuchThing, NotReady
from wrapper.state.store import Store
from wrapper.units import iso


def kill(store: Store | None, folder: Path, names: Sequence[str], said: Said, away: str = "it was not to be asked") -> dict[str, Any]:
    """These endpoints to legacy now, all that are not there if there are none: in the store, and where that is away (None, since `away`; or
    it says so), in this host's file. Asks nothing first: what legacy lacks is refused key by key."""
    reasoned(said)
    try:
        if store is not None:
            return _killed(store, names, said)
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
    return {"killed": list(held), "by": "file", "file": str(file), "store": away, "note": note}


def unkill(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Takes names out of this host's file, all if there are none; the stages in the store are as they are."""
    held, file = kill_file.read(folder), folder / kill_file.NAME
    unknown = [name for name in names if name not in held]
    if unknown or not held:
        met = f"it holds {', '.join(held)}" if held else "it holds nothing"
        raise NoSuchThing(f"{', '.join(unknown) or 'nothing'} could be taken out of {file}: {met}")
    left = {name: text for name, text in held.items() if names and name not in names}
    try:
        kill_file.write(folder, left)
    except OSError as error:
        raise NotReady(f"{file} can't be written ({error.strerror})") from None
    return {"freed": [name for name in held if name not in left], "held": list(left)}


def _killed(store: Store, names: Sequence[str], said: Said) -> dict[str, Any]:
    stand = {name: move.standing.stage for name, move in store.standings()[1].items()}
    at_all = sorted({n for n, stage in stand.items() if stage not in ("legacy", "retired")} | {p.endpoint for p in store.proposals()})
    killed = list(names) or at_all
    if killed:
        store.move(killed, LEGACY, said.who, f"killed: {said.why}", ticket=said.ticket)
    return {"killed": killed, "by": "store", "from": {name: stand.get(name, "legacy") for name in killed}, "note": ""}
