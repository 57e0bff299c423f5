"""What the SFTP tests share: the demo's own endpoint blocks, compiled for a server that may have no chroot."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from adapters.base import Call, Ticket
from adapters.registry import adapter, target
from adapters.sftp.adapter import SftpAdapter

CATALOGUE = Path(__file__).parents[2] / "fixtures" / "catalogue"
DUE = date(2026, 12, 1)
DEBTOR, CREDITOR = "000100010001", "000123450001"


class Folder:
    """A catalogue folder, as far as a kind's compiler looks at one."""

    def path(self, name: str) -> Path:
        return CATALOGUE / name

    def text(self, name: str) -> str:
        return self.path(name).read_text(encoding="utf-8")

    def yaml(self, name: str) -> Any:
        return yaml.safe_load(self.text(name))

    def names(self, folder: str, suffix: str) -> list[str]:
        return sorted(str(p.relative_to(CATALOGUE)) for p in (CATALOGUE / folder).glob(f"*{suffix}"))


def block(endpoint: str, prefix: str = "") -> dict[str, Any]:
    """The legacy block of a demo endpoint; `prefix` stands before its absolute paths."""
    legacy = yaml.safe_load((CATALOGUE / "endpoints" / f"{endpoint}.yaml").read_text(encoding="utf-8"))["legacy"]
    text = json.dumps(legacy)
    for folder in ("/pay/", "/extract/"):
        text = text.replace(f'"{folder}', f'"{prefix}{folder}')
    made: dict[str, Any] = json.loads(text)
    return made


def compiled(endpoint: str, prefix: str = "") -> Any:
    return target("sftp").compile(block(endpoint, prefix), {}, Folder())


@dataclass(frozen=True, slots=True)
class Server:
    """An SFTP server under test; `root` is the local folder of its `prefix`."""

    address: tuple[str, int]
    user: str
    key: str
    host_key: str
    root: Path
    prefix: str = ""

    def open(self, address: tuple[str, int] | None = None, **other: Any) -> SftpAdapter:
        host, port = address or self.address
        system: Mapping[str, Any] = {
            "host": host,
            "port": str(port),
            "host_key": self.host_key,
            "user": self.user,
            "key": self.key,
            **other,
        }
        made: Any = adapter("sftp").open("drop", system, Folder(), None)  # type: ignore[arg-type]
        assert isinstance(made, SftpAdapter)
        return made

    def lookup(self, seconds: float, customer_id: str = "0000012345", target: Any = None) -> Call:
        made = target or compiled("applications.get", self.prefix)
        return Call("applications.get", made, {"customer_id": customer_id}, time.monotonic() + seconds)

    def ticket(self, id: str, *amounts: str, step: str = "", seconds: float = 5.0, debtor: str = DEBTOR) -> Ticket:
        payments = [{"debtor": debtor, "creditor": CREDITOR, "amount": Decimal(amount), "due": DUE} for amount in amounts]
        made = compiled("payments.create", self.prefix)
        return Ticket(id, Call("payments.create", made, {"payments": payments}, time.monotonic() + seconds, effect="write"), step)
