"""A WSDL reads what lies beside it and nothing else, and all of its schemas judge."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from adapters.base import Adapter, BadTarget, Call
from adapters.errors import Misread
from fixtures.soap import SCHEMA, Bureau, truth
from tests.adapters.bureau import FULL, WSDL, compiled, refused, replaced, right


def folder(at: Path, wsdl: str, xsd: str = SCHEMA.read_text()) -> Path:
    (at / "wsdl").mkdir()
    (at / "wsdl" / "credit.wsdl").write_text(wsdl)
    (at / "wsdl" / "credit.xsd").write_text(xsd)
    return at


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:9/x.xsd", "https://x.invalid/x.xsd", "file:///etc/passwd", "/etc/passwd", "../x.xsd", "other.xsd"]
)
def test_a_wsdl_may_import_only_what_lies_beside_it(tmp_path: Path, place: str) -> None:
    (tmp_path / "x.xsd").write_text(SCHEMA.read_text())
    with pytest.raises(BadTarget, match="put a copy there"):
        compiled(folder=folder(tmp_path, WSDL.read_text().replace("credit.xsd", place)))


def test_a_schema_may_include_only_what_lies_beside_it(tmp_path: Path) -> None:
    xsd = SCHEMA.read_text().replace(
        '<xs:simpleType name="NationalId">', '<xs:include schemaLocation="file:///etc/passwd"/><xs:simpleType name="NationalId">'
    )
    with pytest.raises(BadTarget):
        compiled(folder=folder(tmp_path, WSDL.read_text(), xsd))


@pytest.mark.parametrize("text", ["", "<html/>", '<!DOCTYPE x [<!ENTITY e "v">]>' + WSDL.read_text().partition("?>")[2]])
def test_what_is_not_a_plain_wsdl_is_said_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadTarget):
        compiled(folder=folder(tmp_path, text))


def test_schemas_inside_the_wsdl_judge_as_well(tmp_path: Path, bureau: Bureau, soap: Adapter) -> None:
    """Two inline schemas that import each other by namespace alone, one namespace in two pieces: as .NET writes them."""
    inner = (
        SCHEMA.read_text()
        .partition("-->")[2]
        .replace('elementFormDefault="qualified">', 'elementFormDefault="qualified" xmlns:b="urn:b"><xs:import namespace="urn:b"/>')
    )
    simple = '<xs:schema targetNamespace="urn:b"><xs:simpleType name="{}">{}</xs:simpleType></xs:schema>'
    letter = '<xs:restriction base="xs:string"><xs:maxLength value="1"/></xs:restriction>'
    grade, other = simple.format("Grade", letter), simple.format("Other", letter)
    head, _, rest = WSDL.read_text().partition("<wsdl:types>")
    wsdl = (
        head
        + "<wsdl:types>"
        + grade
        + inner.replace('name="RiskGrade" type="xs:string"', 'name="RiskGrade" type="b:Grade"')
        + other
        + "</wsdl:types>"
        + rest.partition("</wsdl:types>")[2]
    )
    target = compiled(folder=folder(tmp_path, wsdl))
    call = Call("credit.check", target, {"national_id": FULL.national_id}, time.monotonic() + 5)
    right(soap.call(call))
    bureau.twist = replaced(f"{truth(FULL.national_id).grade}</c:RiskGrade>", "XX</c:RiskGrade>")
    assert type(refused(soap, call)) is Misread


def test_soap_1_2_has_its_own_envelope_and_headers(tmp_path: Path) -> None:
    wsdl = WSDL.read_text().replace("http://schemas.xmlsoap.org/wsdl/soap/", "http://schemas.xmlsoap.org/wsdl/soap12/")
    operation = compiled(folder=folder(tmp_path, wsdl)).operation
    assert operation.soap == "http://www.w3.org/2003/05/soap-envelope"
    assert "action=" in operation.headers["Content-Type"]
