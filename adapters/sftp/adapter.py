"""The live side of kind `sftp`: lookups in extracts, and drops that are answered by a reply file."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from posixpath import split
from typing import Any

from adapters.base import Call, Events, Files, Leases, Record, Reply, Ticket
from adapters.codec.record import EncodeError
from adapters.errors import AdapterError, ErrorRule, Misconfigured, Misread, Missing, OutcomeUnknown, Refused, matching
from adapters.events import SILENT
from adapters.sftp.compiled import DropTarget, ExtractTarget
from adapters.sftp.door import Door, Rejected
from adapters.sftp.drop import NEW, path_of, ready
from adapters.sftp.extract import Extract, decoded
from adapters.sftp.link import CHANNELS, Access, Link, read_host_key, read_key
from adapters.sftp.publish import Publication

MOST = 16 * 2**20  # bytes of a reply file
PAUSE = 0.02  # seconds before the first look over another connection
_COPIES = ("", *(f".{n}" for n in range(1, 10)))


class SftpAdapter:
    """One SFTP system; an Adapter for extracts and a Deferred for drops."""

    def __init__(self, access: Access, channels: int) -> None:
        self.name, self._user = access.name, access.user
        self._link = Link(access, channels)
        self._extracts: dict[ExtractTarget, Extract] = {}

    def call(self, call: Call) -> Reply:
        """The record of an extract whose key is asked for. Raises Missing when it has none."""
        target = call.target
        if not isinstance(target, ExtractTarget):
            raise Misconfigured("a file drop is submitted, not called", backend=self.name)
        key = self._key(target, call.params)
        with self._link.lease(call.deadline, background=call.background) as door:
            version = self._extracts.setdefault(target, Extract(target)).version(door)
        at = version.places.get(key)
        if at is None:
            raise Missing(f"the extract has no record with this {target.key}", backend=self.name)
        record = decoded(target.codec, version.data, at // target.codec.length + 1, at)
        self._refuse(target.errors, (record,))
        return Reply((record,), self.name, version.as_of, by=self._user)

    def _key(self, target: ExtractTarget, params: Mapping[str, Any]) -> bytes:
        try:
            return target.codec.field_bytes(target.key, target.wanted.render(params))
        except EncodeError as bad:
            raise Refused(str(bad), backend=self.name) from None

    def submit(self, ticket: Ticket, record: Callable[[str], None]) -> None:
        """Publish the batch, or go on from the step recorded; never twice. See drop.py."""
        target = self._drop(ticket)
        data = target.drop.encode(ticket.id, ticket.call.params)
        publication = Publication(target.drop.names(ticket.id), data, ticket.step, record)
        pause = PAUSE
        while True:  # an act that the connection failed at: another may tell, within the deadline, what became of it
            try:
                with self._link.lease(ticket.call.deadline) as door:
                    publication.run(door)
                return
            except OutcomeUnknown:
                raise
            except AdapterError:
                if publication.step == NEW or publication.refused:
                    raise
            if time.monotonic() + pause >= ticket.call.deadline:
                raise OutcomeUnknown("the connection failed while the batch was being published", backend=self.name)
            time.sleep(pause)  # the server may be coming back
            pause = min(2 * pause, 1.0)

    def collect(self, tickets: Sequence[Ticket], deadline: float) -> list[tuple[Ticket, Reply | AdapterError]]:
        """Each reply folder is listed once; a reply counts when its done file is there. What was read before an error is not lost."""
        folders: dict[str, list[tuple[Ticket, str]]] = defaultdict(list)
        for ticket in tickets:
            folder, file = split(path_of(self._drop(ticket).reply.path, ticket.id))
            folders[folder].append((ticket, file))
        answers: list[tuple[Ticket, Reply | AdapterError]] = []
        try:
            with self._link.lease(deadline) as door:
                for folder, waiting in folders.items():
                    names = door.names(folder)
                    for ticket, file in waiting:
                        if ready(names, file, self._drop(ticket).reply.done_file):
                            answers += self._answer(door, ticket, f"{folder}/{file}")
        except AdapterError:
            if not answers:
                raise
        return answers

    def _answer(self, door: Door, ticket: Ticket, path: str) -> list[tuple[Ticket, Reply | AdapterError]]:
        """The ticket's answer, or nothing when the file was cleared away meanwhile."""
        reply = self._drop(ticket).reply
        try:
            data = door.read(path, MOST)
            if data is None:
                return []
            if not data or len(data) % reply.codec.length:
                raise Misread(f"the reply does not consist of records of {reply.codec.length} bytes")
            offsets = range(0, len(data), reply.codec.length)
            records = tuple(decoded(reply.codec, data, number, at) for number, at in enumerate(offsets, 1))
            self._echoes(ticket, records)
            self._refuse(self._drop(ticket).errors, records)
        except AdapterError as error:
            if not isinstance(error, Misread) and not error.code:
                raise
            error.backend = self.name
            return [(ticket, error)]
        return [(ticket, Reply(records, self.name, by=self._user))]

    def _echoes(self, ticket: Ticket, records: Sequence[Record]) -> None:
        for name, template in self._drop(ticket).reply.echo.items():
            if any(str(record[name]) != template.render({"batch_id": ticket.id}) for record in records):
                raise Misread(f"the reply's {name} is not the batch's")

    def archive(self, ticket: Ticket, deadline: float) -> None:
        """The reply first, then its done file: a reply without its done file is not there."""
        reply = self._drop(ticket).reply
        if not reply.archive:
            return
        path = path_of(reply.path, ticket.id)
        with self._link.lease(deadline) as door:
            for source in (path, path + reply.done_file):
                _move(door, source, reply.archive + split(source)[1])

    def probe(self, timeout: float) -> None:
        with self._link.lease(time.monotonic() + timeout) as door:
            door.stat(".")

    def close(self) -> None:
        self._link.close()

    def _drop(self, ticket: Ticket) -> DropTarget:
        if not isinstance(ticket.call.target, DropTarget):
            raise Misconfigured("an extract is called, not submitted", backend=self.name)
        return ticket.call.target

    def _refuse(self, rules: Sequence[ErrorRule], records: Sequence[Record]) -> None:
        """Raises the first error that the definition sees in a record."""
        for record in records:
            rule = matching(rules, {name: "" if value is None else str(value) for name, value in record.items()})
            if rule is not None:
                raise rule.error(self.name)


def _move(door: Door, source: str, target: str) -> None:
    """Done when `source` is gone. An older file of the target's name is kept: the new one gets a number."""
    for copy in _COPIES:
        if door.stat(source) is None:
            return
        try:
            door.rename(source, target + copy)
        except Rejected:
            if door.stat(target + copy) is None:
                raise


def open(name: str, system: Mapping[str, Any], files: Files, leases: Leases, events: Events = SILENT) -> SftpAdapter:
    """See adapters.base.AdapterModule. Raises Misconfigured for a key that can't be read."""
    try:
        port = int(system.get("port", 22))
    except ValueError:
        raise Misconfigured("the port is not a number", backend=name) from None
    access = Access(name, system["host"], port, system["user"], read_key(system["key"]), read_host_key(system["host_key"]), events)
    return SftpAdapter(access, min(CHANNELS, system.get("pool", {}).get("max", CHANNELS)))
