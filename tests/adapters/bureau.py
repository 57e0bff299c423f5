"""The demo bureau, and questions to it through the SOAP adapter."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import Adapter, Call, Reply
from adapters.errors import (
    AdapterError,
)
from adapters.soap.target import SoapTarget
from fixtures.customers import Customer, everyone
from fixtures.soap import SCHEMA, truth
from wrapper.catalogue.folder import Folder

CATALOGUE = SCHEMA.parent.parent
WSDL = SCHEMA.with_name("credit.wsdl")
BLOCK: Mapping[str, Any] = {
    "operation": "CreditCheck.assess",
    "send": {"Subject/NationalId": "{national_id}", "Subject/BornOn": "{born}", "Purpose": "CREDIT", "Amount": "{amount}"},
    "echo": {"Result/NationalId": "{national_id}"},
    "errors": {
        "not_found": {"when": {"fault": "SubjectNotFoundFault", "code": "S404"}, "status": 404},
        "try_later": {"when": {"Result/ReturnCode": "08"}, "status": 503, "retry": True},
    },
}
FULL = next(c for c in everyone() if truth(c.national_id).searches and truth(c.national_id).limit and truth(c.national_id).grade)
CODE = "<c:ReturnCode>00</c:ReturnCode>"


def compiled(block: Mapping[str, Any] = BLOCK, folder: Path = CATALOGUE) -> SoapTarget:
    target = registry.target("soap").compile(block, {"wsdl": "wsdl/credit.wsdl"}, Folder(folder))
    assert isinstance(target, SoapTarget)
    return target


def question(
    national_id: str = FULL.national_id, seconds: float = 5.0, block: Mapping[str, Any] = BLOCK, effect: Any = "read", **more: Any
) -> Call:
    return Call("credit.check", compiled(block), {"national_id": national_id, **more}, time.monotonic() + seconds, effect=effect)


def opened(address: tuple[str, int], login: str, **security: Any) -> Adapter:
    host, port = address
    system = {"wsdl": "wsdl/credit.wsdl", "endpoint": f"http://{host}:{port}/credit", "security": {"username_token": login, **security}}
    return registry.adapter("soap").open("bureau", system, Folder(CATALOGUE), None)  # type: ignore[arg-type]


def right(reply: Reply, customer: Customer = FULL) -> None:
    known = truth(customer.national_id)
    (record,) = reply.records
    assert record["Result"] == {
        "NationalId": customer.national_id,
        "ReturnCode": "00",
        "Reference": known.reference,
        "RiskGrade": known.grade,
        "Limit": known.limit,
        "CheckedAt": known.checked_at,
    }
    assert record["Report"]["Records"] is customer.records
    found = [(s["Date"], s["Lender"], s["Amount"]) for s in record["Report"]["Searches"]["Search"]]
    assert found == list(known.searches)


def refused(adapter: Adapter, call: Call) -> AdapterError:
    with pytest.raises(AdapterError) as met:
        adapter.call(call)
    assert met.value.backend == "bureau"
    shown = met.value.detail
    assert not any(secret in shown for secret in ("app-17", "ORA-", FULL.national_id, "bureau-secret", "/etc"))
    return met.value


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    def twist(xml: bytes) -> bytes:
        assert old.encode() in xml
        return xml.replace(old.encode(), new.encode())

    return twist
