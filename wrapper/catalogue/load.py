"""A folder -> Catalogue, or every fault of it as file:line: message.

Three passes, each over all that the one before left whole: every file's shape; every block by its adapter kind; every promise across
files. A file that is broken is not blamed on those that refer to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath

from adapters.base import BadTarget
from scoring import card
from scoring.card import Card
from scoring.errors import BadModel
from wrapper.catalogue import (
    build,
    check_access,
    check_contract,
    check_estate,
    check_joins,
    check_migration,
    check_personal,
    check_sources,
    notes,
    shape,
)
from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.estate import Check, Estate
from wrapper.catalogue.folder import Folder
from wrapper.catalogue.found import CatalogueError, Found, Path
from wrapper.catalogue.strict_yaml import Document
from wrapper.operation import Catalogue, System
from wrapper.settings import models_beside

SYSTEMS = "systems.yaml"
ACCESS = "access.yaml"
CHECKS: tuple[Check, ...] = (
    *check_contract.CHECKS, *check_sources.CHECKS, *check_joins.CHECKS, *check_migration.CHECKS, *check_estate.CHECKS,
    *check_personal.CHECKS,
)  # fmt: skip


def load(folder: FilePath | str | Folder, models: FilePath | None = None) -> Catalogue:
    """The catalogue in `folder`; `models` is where its models are, beside it when left out. Raises CatalogueError with all faults."""
    files = folder if isinstance(folder, Folder) else Folder(folder)
    reading = _Reading(files, models or models_beside(files.root))
    if reading.faults:
        raise CatalogueError(reading.faults)
    operations = {name: build.whole(endpoint.operation, reading.endpoints) for name, endpoint in reading.endpoints.items()}
    whole = build.digest(operation.hash for operation in operations.values())
    return Catalogue(reading.systems, operations, whole, reading.access)


def check(folder: FilePath | str, models: FilePath | None = None) -> tuple[list[Found], list[Found]]:
    """All faults and all notes of the catalogue in `folder`, in the order of files and lines."""
    reading = _Reading(Folder(folder), models or models_beside(FilePath(folder)))
    return sorted(reading.faults), sorted(reading.notes)


class _Reading:
    """One pass through a folder: what it holds so far, and what was found wrong."""

    def __init__(self, folder: Folder, models: FilePath) -> None:
        self.folder = folder
        self.faults: set[Found] = set()
        self.notes: set[Found] = set()
        self.systems: dict[str, System] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self._broken: set[str] = set()  # systems that are there but can't be used
        told = self._read_systems()
        access = self._read(ACCESS, "access") if folder.has(ACCESS) else None
        self.access = {} if access is None else access.value
        for path, message in check_access.faults(self.access):
            self._report(ACCESS, path, message)
        documents = self._documents()
        if not told:
            return
        self._build(documents)
        names = frozenset(FilePath(name).stem for name in folder.names("endpoints", ".yaml"))
        self._cross_check(Estate(self.systems, self.endpoints, names, self._models(models), str(models)))

    def _report(self, file: str, path: Path, message: str) -> None:
        self.faults.add(Found(file, self.folder.line(file, path), message))

    def _read(self, file: str, definition: str) -> Document | None:
        """The file, when it is YAML and of the right shape."""
        try:
            document = self.folder.document(file)
        except BadTarget as error:
            for fault in error.faults:
                self._report(file, fault.path, fault.message)
            return None
        return document if self._has_shape(definition, document.value, file) else None

    def _has_shape(self, definition: str, value: object, file: str, at: Path = ()) -> bool:
        found = list(shape.faults(definition, value, at, secret=file in (SYSTEMS, ACCESS)))
        for path, message in found:
            self._report(file, path, message)
        return not found

    def _read_systems(self) -> bool:
        """Whether it is known which systems there are."""
        document = self._read(SYSTEMS, "systems")
        if document is None:
            return False
        for name, block in document.value["systems"].items():
            at = ("systems", name)
            lines = {path[2:]: line for path, line in document.lines.items() if path[:2] == at}
            one = System(name, block["kind"], block, document.line(at), lines)
            self.systems[name] = one
            whole = self._has_shape(f"{one.kind}.system", block, SYSTEMS, at)
            for path, message in check_estate.system(one) if whole else ():
                self._report(SYSTEMS, path, message)
            if not whole:
                self._broken.add(name)
            self._note(SYSTEMS, notes.of_system(one))
        return True

    def _documents(self) -> list[Document]:
        for name in self.folder.names("endpoints", ".yml"):
            self._report(name, (), "endpoint files end in .yaml; this one would not be read")
        names = self.folder.names("endpoints", ".yaml")
        if not names:
            self._report("endpoints", (), "there is no endpoint file: endpoints/*.yaml")
        return [document for name in names if (document := self._read(name, "endpoint")) is not None and self._blocks_fit(document)]

    def _blocks_fit(self, document: Document) -> bool:
        """The legacy and modern blocks have the shape of their system's kind."""
        sides = [side for side in ("legacy", "modern") if side in document.value]
        kinds = {side: self.systems[block["system"]].kind for side in sides if (block := document.value[side])["system"] in self.systems}
        fits = [self._has_shape(f"{kind}.block", document.value[side], document.file, (side,)) for side, kind in kinds.items()]
        return all(fits)

    def _build(self, documents: Iterable[Document]) -> None:
        usable = {name: one for name, one in self.systems.items() if name not in self._broken}
        for document in documents:
            made = build.endpoint(document, usable, self.folder, self._report)
            self.endpoints[FilePath(document.file).stem] = made  # its name, or it is told so: two files never become one

    def _cross_check(self, estate: Estate) -> None:
        for endpoint in estate.endpoints.values():
            for one in CHECKS:
                for path, message in one(endpoint, estate):
                    self._report(endpoint.file, path, message)
            self._note(endpoint.file, notes.of_endpoint(endpoint, estate))

    def _note(self, file: str, told: Iterable[tuple[Path, str]]) -> None:
        for path, message in told:
            self.notes.add(Found(file, self.folder.line(file, path), f"note: {message}"))

    def _models(self, folder: FilePath) -> Mapping[str, Card]:
        """Cards of the models that the endpoints name; a card that can't be read is a fault of whoever names it."""
        cards: dict[str, Card] = {}
        for path in sorted(folder.glob("*/*/card.json")):
            name = f"{path.parent.parent.name}@{path.parent.name}"
            try:
                cards[name] = card.read(path)
            except BadModel as error:
                self._report_model(name, str(error))
        return cards

    def _report_model(self, model: str, message: str) -> None:
        for endpoint in self.endpoints.values():
            if endpoint.raw.get("scoring", {}).get("model") == model:
                self._report(endpoint.file, ("scoring", "model"), message)
