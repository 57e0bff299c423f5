"""One batch on its way out: the steps of drop.py acted out on a channel, from whichever was recorded last."""

from __future__ import annotations

from collections.abc import Callable

from adapters.errors import Misconfigured, OutcomeUnknown, Unavailable
from adapters.sftp.door import Door, Rejected
from adapters.sftp.drop import NEW, PUBLISHED, RENAMING, STEPS, TRIGGERING, Names, must_rename, must_trigger


class Publication:
    """`run` may be called again after it failed: it looks at what is there and goes on. `refused` says that the server declined the
    rename and has nothing of the batch."""

    def __init__(self, names: Names, data: bytes, step: str, record: Callable[[str], None]) -> None:
        if step not in STEPS:
            raise OutcomeUnknown("the recorded step is none of a file drop")
        self.step, self.refused = step, False
        self._names, self._data, self._record = names, data, record

    def run(self, door: Door) -> None:
        """Raises OutcomeUnknown when the files do not tell what happened, and the door's errors."""
        just_now = self.step == NEW
        if self.step == NEW:
            self._stage(door)
            self._note(RENAMING)
        if self.step == RENAMING:
            self._rename(door, just_now)
            self._note(TRIGGERING if self._names.done else PUBLISHED)
            just_now = True
        if self.step == TRIGGERING:
            self._trigger(door, just_now)
            self._note(PUBLISHED)

    def _note(self, step: str) -> None:
        self._record(step)
        self.step = step

    def _stage(self, door: Door) -> None:
        """Everything under temporary names, which the back end does not look at."""
        door.write(self._names.data_tmp, self._data)
        arrived = door.stat(self._names.data_tmp)
        if arrived is None or arrived.size != len(self._data):
            door.remove(self._names.data_tmp)
            raise Unavailable(f"the upload is incomplete: {arrived.size if arrived else 0} of {len(self._data)} bytes arrived")
        if self._names.done:
            door.write(self._names.done_tmp, b"")

    def _rename(self, door: Door, just_now: bool) -> None:
        if not just_now and not self._to_rename(door):
            return
        try:
            door.rename(self._names.data_tmp, self._names.data)
        except (Rejected, Misconfigured):
            if not just_now and not self._to_rename(door):
                return  # what the lost connection had asked for came through after we looked
            self.refused = True
            door.remove(self._names.data_tmp)
            if self._names.done:
                door.remove(self._names.done_tmp)
            raise

    def _to_rename(self, door: Door) -> bool:
        there, staged = door.stat(self._names.data), door.stat(self._names.data_tmp)
        return must_rename(staged=staged is not None, size=None if there is None else there.size, expected=len(self._data))

    def _trigger(self, door: Door, just_now: bool) -> None:
        if not just_now and not self._to_trigger(door):
            return
        try:
            door.rename(self._names.done_tmp, self._names.done)
        except (Rejected, Misconfigured):
            if just_now or self._to_trigger(door):
                raise OutcomeUnknown("the batch lies ready, and the server refused its trigger file") from None

    def _to_trigger(self, door: Door) -> bool:
        staged, done, data = (door.stat(path) is not None for path in (self._names.done_tmp, self._names.done, self._names.data))
        return must_trigger(staged=staged, done=done, data=data)
