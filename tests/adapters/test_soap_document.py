"""What an answer may be as a document: whatever is not plain XML of the pinned WSDL is refused, and nothing that it refers to is read."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from adapters.base import Adapter
from adapters.errors import Misread
from fixtures.customers import everyone
from fixtures.soap import Bureau, truth
from fixtures.web import Asked, Page
from tests.adapters.bureau import CODE, question, refused, replaced, right


def test_an_entity_bomb_and_an_external_entity_are_a_misread(bureau: Bureau, soap: Adapter) -> None:
    bomb = b"<!DOCTYPE x [" + b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"ha") for n in range(9)) + b"]>"
    for doctype in (bomb, b'<!DOCTYPE x [<!ENTITY e8 SYSTEM "file:///etc/hostname">]>'):
        bureau.twist = lambda xml, doctype=doctype: doctype + replaced(CODE, "<c:ReturnCode>&e8;</c:ReturnCode>")(xml.partition(b"?>")[2])  # type: ignore[misc]
        start = time.monotonic()
        assert type(refused(soap, question())) is Misread
        assert time.monotonic() - start < 1


def answering(bureau: Bureau, xml: Callable[[bytes], bytes], media: str = "text/xml") -> None:
    """The bureau answers with what `xml` makes of its envelope, under another media type."""
    honest = bureau.answer

    def answer(asked: Asked) -> Page:
        page = honest(asked)
        return Page(page.status, media, xml(page.body))

    bureau.answer = answer


def written(encoding: str, declared: str) -> Callable[[bytes], bytes]:
    return lambda xml: f'<?xml version="1.0" encoding="{declared}"?>{xml.partition(b"?>")[2].decode()}'.encode(encoding)


@pytest.mark.parametrize(
    "encoding, declared, media",
    [
        ("utf-16", "utf-16", "text/xml; charset=utf-16"),
        ("latin-1", "ISO-8859-1", "text/xml"),
        ("latin-1", "ISO-8859-1", 'application/soap+xml; action="x"; charset="iso-8859-1"'),
        ("utf-8", "utf-8", "TEXT/XML; Charset=UTF-8"),
    ],
)
def test_an_answer_may_be_in_any_encoding_that_it_names(bureau: Bureau, soap: Adapter, encoding: str, declared: str, media: str) -> None:
    umlaut = next(c for c in everyone() if any("\u00dc" in who for _, who, _ in truth(c.national_id).searches))
    answering(bureau, written(encoding, declared), media)
    right(soap.call(question(umlaut.national_id)), umlaut)


DOCTYPE = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    "change, media, why",
    [
        pytest.param(lambda xml: b"\x1f\x8b" + xml, "text/xml", "well-formed", id="compressed without a word"),
        pytest.param(written("utf-7", "utf-7"), "text/xml", "an encoding that is not read", id="UTF-7"),
        pytest.param(written("utf-32", "utf-32"), "text/xml", "an encoding that is not read", id="UTF-32"),
        pytest.param(
            lambda xml: (DOCTYPE + xml.partition(b"?>")[2].decode()).encode("utf-16"), "text/xml", "type definition", id="a DTD in UTF-16"
        ),
        pytest.param(
            lambda xml: written("utf-7", "utf-7")(b"?>" + DOCTYPE.encode() + xml.partition(b"?>")[2]),
            "text/xml",
            "type definition",
            id="a DTD in UTF-7",
        ),
        pytest.param(written("utf-8", "utf-8"), "text/xml; charset=iso-8859-1", "one encoding by its header", id="two encodings"),
        pytest.param(lambda xml: xml, "multipart/related; type=text/xml; boundary=b", "multipart", id="MTOM"),
        pytest.param(lambda xml: xml, "application/xml", "media type", id="XML that is no envelope's"),
        pytest.param(lambda xml: xml, "", "media type", id="no media type"),
        pytest.param(
            lambda xml: xml.replace(b"<c:Lender>", b"<c:Lender>" + b"<a>" * 255 + b"</a>" * 255, 1), "text/xml", "well-formed", id="depth"
        ),
        pytest.param(
            lambda xml: xml.replace(
                b"<c:Lender>", b'<c:Lender><i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:1"/>', 1
            ),
            "text/xml",
            "does not fit the WSDL",
            id="an attachment that is included",
        ),
    ],
)
def test_a_document_that_is_not_plain_xml_is_a_misread(
    bureau: Bureau, soap: Adapter, change: Callable[[bytes], bytes], media: str, why: str
) -> None:
    umlaut = next(c for c in everyone() if any("\u00dc" in who for _, who, _ in truth(c.national_id).searches))
    answering(bureau, change, media)
    with pytest.raises(Misread, match=why):
        soap.call(question(umlaut.national_id))


def test_comments_and_instructions_inside_a_value_do_not_cut_it_short(bureau: Bureau, soap: Adapter) -> None:
    bureau.twist = replaced("<c:ReturnCode>00", "<c:ReturnCode><!-- 9 -->0<?x 9?>0")
    right(soap.call(question()))
