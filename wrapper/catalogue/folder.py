"""The catalogue's folder, as the loader and the adapter kinds may see it: nothing outside it, every file read once.

It remembers which files were asked for (an endpoint's hash is made of them) and on which line a file was found bad.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.base import BadTarget, Fault
from adapters.blocks import instead
from wrapper.catalogue import strict_yaml
from wrapper.catalogue.strict_yaml import BadYaml, Document

LONGEST = 4_194_304  # bytes of a copybook or WSDL


class NoFile(BadTarget):
    """A reference to a file that is not there, or not in the folder; `name` is what was asked for."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__([Fault((), message)])
        self.name, self.message = name, message


class Folder:
    """`adapters.base.Files` over a real folder. Relative names only, `/` between the steps."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._bytes: dict[str, bytes] = {}
        self._documents: dict[str, Document] = {}
        self.bad: dict[str, BadYaml] = {}
        self.used: set[str] = set()

    @cached_property
    def _real(self) -> Path:
        return self.root.resolve()

    def path(self, name: str) -> Path:
        """Raises NoFile, a BadTarget, when there is no such file inside the folder."""
        if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
            raise NoFile(name, f"'{name}' must be a path inside the catalogue, like copybooks/PAYREC.cpy")
        found = self.root / name
        if not found.is_file():
            beside = self.names(name.rpartition("/")[0] or ".", "")
            raise NoFile(name, f"there is no file '{name}'{instead(name, beside)}")
        if not found.resolve().is_relative_to(self._real):
            raise NoFile(name, f"'{name}' is a link that leaves the catalogue")
        self.used.add(name)
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a file, link or not."""
        return os.path.lexists(self.root / name)

    def data(self, name: str) -> bytes:
        """The file's bytes. Raises NoFile."""
        path = self.path(name)
        if name not in self._bytes:
            if path.stat().st_size > LONGEST:
                raise NoFile(name, f"'{name}' is longer than {LONGEST} bytes")
            self._bytes[name] = path.read_bytes()
        return self._bytes[name]

    def text(self, name: str) -> str:
        """The file's text as UTF-8. Raises NoFile."""
        try:
            return self.data(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise NoFile(name, f"'{name}' is not UTF-8 at byte {error.start}") from None

    def document(self, name: str) -> Document:
        """The file through the strict parser. Raises NoFile, or BadTarget with the fault that `bad` keeps the line of."""
        data = self.data(name)
        if name not in self._documents and name not in self.bad:
            try:
                self._documents[name] = strict_yaml.parse(data, name)
            except BadYaml as error:
                self.bad[name] = error
        if name in self.bad:
            raise BadTarget([Fault((), self.bad[name].message, name)])
        return self._documents[name]

    def yaml(self, name: str) -> Any:
        """The file's value; callers must not change it. Raises as document() does."""
        return self.document(name).value

    def names(self, folder: str, suffix: str) -> Sequence[str]:
        """Files of a folder inside the catalogue with this suffix, sorted; none when there is no such folder."""
        place = self.root / folder
        if not place.is_dir() or not place.resolve().is_relative_to(self._real):
            return ()
        found = (p for p in place.iterdir() if p.name.endswith(suffix) and p.is_file())
        return sorted(p.relative_to(self.root).as_posix() for p in found)

    def line(self, name: str, path: tuple[str | int, ...]) -> int:
        """Where `path` stands in a file; in one that is not YAML, a single number is its line."""
        if name in self.bad:
            return self.bad[name].line
        if name in self._documents:
            return self._documents[name].line(path)
        return path[0] if len(path) == 1 and isinstance(path[0], int) else 1

    def hash(self, names: Sequence[str]) -> str:
        """SHA-256 over names and contents."""
        made = hashlib.sha256()
        for name in sorted(names):
            data = self.data(name)
            made.update(f"{name}\0{len(data)}\0".encode() + data)
        return made.hexdigest()
