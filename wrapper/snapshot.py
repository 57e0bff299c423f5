"""The accepted catalogue as a copy that nobody edits.

What operators edit is a folder; what is served is a copy of it that has been checked. `current` is a link to that copy and is switched in
one step, so a worker that starts at any moment, also after a crash, loads a whole catalogue that was accepted, and never half an edit.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from wrapper.settings import BadSettings


def own_place(folder: Path, most: int = 64) -> Path | None:
    """A path in `folder` that no other process has by this function, until this process ends, however it ends: the kernel frees it."""
    locks = folder / "leases"
    locks.mkdir(parents=True, exist_ok=True)
    for name in (f"serving-{n}" for n in range(most)):
        handle = os.open(locks / f"{name}.lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
        else:
            return folder / name  # the lock goes with its descriptor, which nobody closes
    return None


def shared_folder(place: Path) -> Path | None:
    """An empty folder `place` for the metrics of the processes that are about to start, or None where there can't be one: then each counts
    for itself."""
    try:
        _empty(place)
    except OSError:
        return None
    return place


class Snapshots:
    """The copies in `place`, a folder that is ours alone: emptied here, removed by close(). Folders in `leave_out` are not copied."""

    def __init__(self, place: Path, leave_out: Collection[Path]) -> None:
        _empty(place)
        self.current = place / "current"
        self._place, self._leave_out = place, {path.resolve() for path in leave_out}
        self._taken = 0

    def take(self, source: Path) -> Path:
        """A copy of `source` that is not served yet. Raises BadSettings when it can't be had."""
        if not source.is_dir():
            raise BadSettings(f"there is no catalogue folder {source}")
        self._taken += 1
        copy = self._place / str(self._taken)
        try:
            _copy(source.resolve(), copy, self._leave_out)
        except OSError as error:
            shutil.rmtree(copy, ignore_errors=True)
            raise BadSettings(f"the catalogue can't be copied: {error.strerror or error} ({error.filename or source})") from None
        return copy

    def drop(self, copy: Path) -> None:
        """This copy is not wanted any more."""
        shutil.rmtree(copy, ignore_errors=True)

    def accept(self, copy: Path) -> None:
        """Serve this copy from now on. The one before it stays until the next: a process may be in the midst of loading it."""
        kept = {copy.name, self.current.resolve().name, self.current.name}
        fresh = self._place / "next"
        fresh.symlink_to(copy.name)
        os.replace(fresh, self.current)
        for old in self._place.iterdir():
            if old.name not in kept:
                self.drop(old)

    def close(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)


def _empty(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700, parents=True)


def _copy(source: Path, to: Path, leave_out: Collection[Path]) -> None:
    """Files and folders without their modes (a copy of a read-only folder must be removable), version control left out.

    A link within the folder is one within the copy; a link that leaves it leads where it led, so the check says the same of both."""

    def failed(error: OSError) -> None:
        raise error

    for at, folders, files in os.walk(source, onerror=failed):
        here = to / Path(at).relative_to(source)
        here.mkdir()
        for name in [*folders, *files]:
            path, target = Path(at, name), Path(at, name).resolve()
            if path.is_symlink():
                (here / name).symlink_to(os.path.relpath(target, at) if target.is_relative_to(source) else target)
            elif path.is_file():
                shutil.copyfile(path, here / name)
        folders[:] = [name for name in folders if name != ".git" and Path(at, name) not in leave_out]
