"""Files: names that lead elsewhere, servers that are somebody else's, replies about others, bytes that are records of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

from adapters.base import Reply
from adapters.sftp.drop import path_of
from adapters.sftp.extract import index
from adapters.template import parse
from fixtures.sftp import DropServer
from tests.adapters.drops import Server, compiled
from tests.attack.parts import Attack, Control, Seen, control, same
from tests.unit.small import operation
from wrapper.operation import Field, Param
from wrapper.params import Params
from wrapper.request import Given

DROP, DOOR, LINK, ADAPTER, EXTRACT, LEAF = (
    f"adapters.{n}" for n in ("sftp.drop", "sftp.door", "sftp.link", "sftp.adapter", "sftp.extract", "codec.leaf")
)
BATCH = control("a batch id is one", (DROP, "if not BATCH_ID.fullmatch(batch_id):", "if False:"))
WHOLE = control("all of a batch id is one", (DROP, "BATCH_ID.fullmatch(batch_id)", "BATCH_ID.match(batch_id)"))
PLAIN = control("a rename replaces nothing", (DOOR, "self.sftp.rename(old, new)", "self.sftp.posix_rename(old, new)"))
PINNED = control(
    "the host key is pinned",
    (LINK, "paramiko.RejectPolicy()", "paramiko.AutoAddPolicy()"),
    (LINK, "client.get_host_keys().add(name, access.host_key.get_name(), access.host_key)", "pass"),
)
ECHO = control(
    "a reply is the batch's",
    (ADAPTER, 'if any(str(record[name]) != template.render({"batch_id": ticket.id}) for record in records):', "if False:"),
)
COUNTED = control("the trailer's count", (EXTRACT, "if count is not None and count != len(places):", "if False:"))
BOTH = control(
    "a key comes once, and as many as the trailer says",
    (EXTRACT, "if len(places) != len(offsets):", "if False:"),
    (EXTRACT, "if count is not None and count != len(places):", "if False:"),
)
WIDTH = control("a field's width", (LEAF, "if len(raw) > length:", "if False:"))
NUMBERS = control(
    "digits alone are a number", (LEAF, "if isinstance(value, str) and _NUMBER.fullmatch(value):", "if isinstance(value, str):")
)
FITS = control("amounts are not rounded", (LEAF, "if stored == stored.to_integral_value(context=_EXACT):", "if True:"))
LINES = control("no control characters", ("wrapper.schema", "if control(value):", "if False:"))
PATH = parse("/pay/in/PAY.{batch_id}.DAT")
ID = "ABCDEFGH0001"
FORM = compiled("payments.create").drop


def named(batch_id: str) -> Callable[[Any], Seen]:
    """Got when the batch's file would lie elsewhere than in its folder, under another name than its own."""

    def act(_: Any) -> Seen:
        path = path_of(PATH, batch_id)
        real = PurePosixPath(*_resolved(path))
        elsewhere = real.parent != PurePosixPath("/pay/in") or not path.endswith(".DAT") or not path.isprintable()
        return Seen(elsewhere, repr(path))

    return act


def _resolved(path: str) -> list[str]:
    steps = ["/"]
    for step in path.split("/"):
        if step == "..":
            steps = steps[:-1] or ["/"]
        elif step not in ("", "."):
            steps.append(step)
    return steps


def _name(name: str, batch_id: str, by: Control = BATCH) -> Attack:
    return Attack(name, "SFTP", by, named(batch_id), lambda _: same(path_of(PATH, ID), f"/pay/in/PAY.{ID}.DAT"))


@contextmanager
def server(folder: Path, name: str = "own") -> Iterator[tuple[DropServer, Server]]:
    (folder / name).mkdir()
    with DropServer(folder / name) as drop:
        drop.batch.stop()
        yield drop, Server(drop.address, drop.user, drop.key, drop.host_key, drop.root)


def published(unread: bool) -> Callable[[Path], Seen]:
    """A file of the batch's name lies there unread. Got when ours is in its place, or, where there is none, published."""

    def act(folder: Path) -> Seen:
        with server(folder) as (drop, at):
            file = drop.root / "pay" / "in" / f"PAY.{ID}.DAT"
            if unread:
                file.write_bytes(b"UNREAD")
            adapter = at.open()
            try:
                adapter.submit(at.ticket(ID, "1.00"), lambda _step: None)
            finally:
                adapter.close()
            return Seen(file.read_bytes() != b"UNREAD", f"{file.name} has {file.stat().st_size} bytes")

    return act


def impostor(is_one: bool) -> Callable[[Path], Seen]:
    """Another server answers at the address. Got when its extract is taken for the mainframe's."""

    def act(folder: Path) -> Seen:
        with server(folder) as (_, at), server(folder, "other") as (evil, there):
            evil.knows = lambda _user, _key: True  # type: ignore[method-assign]
            adapter = at.open(there.address if is_one else None)
            try:
                reply = adapter.call(at.lookup(5.0))
            finally:
                adapter.close()
            return Seen(len(reply.records) == 1 and bool(evil.accepted) == is_one, f"{len(reply.records)} record")

    return act


def replied(content: bytes) -> Callable[[Path], Seen]:
    """Got when these bytes are taken for our batch's reply."""

    def act(folder: Path) -> Seen:
        with server(folder) as (drop, at):
            out = drop.root / "pay" / "out"
            (out / f"PAY.{ID}.RSP").write_bytes(content)
            (out / f"PAY.{ID}.RSP.OK").write_bytes(b"")
            adapter = at.open()
            try:
                answers = adapter.collect([at.ticket(ID, "1.00", step="published")], time.monotonic() + 5)
            finally:
                adapter.close()
            said = [answer for _, answer in answers]
            return Seen(len(said) == 1 and isinstance(said[0], Reply), f"{said!s:.70}")

    return act


def response(batch_id: str) -> bytes:
    return (batch_id + "00001A    " + "000000000010{" + "     ").encode("cp037")


def extract(change: Callable[[bytes, int], bytes]) -> Callable[[Path], Seen]:
    """Got when an extract that was changed so is indexed."""

    def act(folder: Path) -> Seen:
        with server(folder) as (drop, _):
            data = (drop.root / "extract" / "MASTER.DAT").read_bytes()
        target = compiled("applications.get")
        made = index(target, change(data, target.codec.length))
        return Seen(True, f"{made.as_of}, taken")

    return act


def record(**values: Any) -> bytes:
    return FORM.record.codec.encode(
        {
            "PAY-BATCH-ID": ID,
            "PAY-SEQUENCE": 1,
            "PAY-DEBTOR-ACCT": "000100010001",
            "PAY-CREDITOR-ACCT": "000123450001",
            "PAY-AMT": Decimal("1.00"),
            "PAY-DUE": 20261201,
            **values,
        }
    )


def long(debtor: str) -> Callable[[Any], Seen]:
    """Got when the record of this debtor is longer than a record: what hangs over begins the next one."""

    def act(_: Any) -> Seen:
        return Seen(len(record(**{"PAY-DEBTOR-ACCT": debtor})) > FORM.record.codec.length, f"{FORM.record.codec.length} bytes")

    return act


def fits(debtor: str) -> Callable[[Any], Seen]:
    return lambda _: same(FORM.record.codec.decode(record(**{"PAY-DEBTOR-ACCT": debtor}), 1, 0)["PAY-DEBTOR-ACCT"], debtor)


def amount(value: Any, wanted: str) -> Callable[[Any], Seen]:
    def act(_: Any) -> Seen:
        return same(str(FORM.record.codec.decode(record(**{"PAY-AMT": value}), 1, 0)["PAY-AMT"]), wanted)

    return act


def ebcdic(text: str, wanted: int) -> Callable[[Any], Seen]:
    """A caller's text on its way into a file: got when the file has this byte."""

    def act(_: Any) -> Seen:
        text_ = Params(operation(params=(Param("body", Field("name", "string")),))).load(Given({}, {}, {}, {"name": text}))["name"]
        raw = record(**{"PAY-DEBTOR-ACCT": text_})
        return Seen(wanted in raw, f"{raw[:40].hex()}")

    return act


def _control(name: str, text: str, byte: int) -> Attack:
    return Attack(name, "EBCDIC", LINES, ebcdic(text, byte), ebcdic("ANN BOB", 0x40))


def _repeated(data: bytes, length: int) -> bytes:
    """The second customer's record takes the first one's number."""
    key = compiled("applications.get").codec.where("CUST-NO")
    first, second = length, 2 * length
    return data[: second + key.start] + data[first + key.start : first + key.stop] + data[second + key.stop :]


ATTACKS = (
    _name("drop.name_climbs", "../../extract/MASTER"),
    _name("drop.name_climbs_inside", "A/../../out/B"),
    _name("drop.name_of_a_folder", "X/Y"),
    _name("drop.name_with_nul", "ABCDEFGH001\0"),
    _name("drop.name_with_newline", "ABCDEFGH0001\n", WHOLE),
    _name("drop.name_and_more", "ABCDEFGH0001/../../done/X", WHOLE),
    Attack("drop.unread_file", "SFTP", PLAIN, published(True), published(False)),
    Attack("drop.impostor", "SFTP", PINNED, impostor(True), impostor(False)),
    Attack("drop.reply_of_another_batch", "SFTP", ECHO, replied(response("ZZZZZZZZ9999")), replied(response(ID))),
    Attack("drop.mixed_reply", "SFTP", ECHO, replied(response(ID) + response("ZZZZZZZZ9999")), replied(response(ID))),
    Attack("drop.cut_extract", "SFTP", COUNTED, extract(lambda data, n: data[:n] + data[2 * n :]), extract(lambda data, n: data)),
    Attack("drop.two_of_one_number", "SFTP", BOTH, extract(_repeated), extract(lambda data, n: data)),
    Attack("ebcdic.record_that_hangs_over", "EBCDIC", WIDTH, long("000100010001P" + "9" * 67), fits("000100010001")),
    Attack("ebcdic.number_with_exponent", "EBCDIC", NUMBERS, amount("1E3", "1000.00"), amount("1000", "1000.00")),
    Attack("ebcdic.amount_rounded", "EBCDIC", FITS, amount(Decimal("1.006"), "1.00"), amount(Decimal("1.00"), "1.00")),
    _control("ebcdic.line_feed", "ANN\nBOB", 0x25),
    _control("ebcdic.new_line", "ANN\x85BOB", 0x15),
    _control("ebcdic.end_of_transmission", "ANN\x04BOB", 0x37),
    _control("ebcdic.shift_out", "ANN\x0eBOB", 0x0E),
    _control("ebcdic.programme_operator", "ANN\x97BOB", 0x08),
)
