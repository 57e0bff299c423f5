"""An answer's bytes as an XML tree, or why they are none: no DTD, hence no entity; no depth beyond libxml2's 256; no doubtful encoding."""

from __future__ import annotations

import re

from lxml import etree

from adapters.httpwire import Answer

XML = ("text/xml", "application/soap+xml")
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";]+)", re.ASCII | re.IGNORECASE)
_READ = re.compile(r"utf-8|utf-16(le|be)?|us-ascii|iso-8859-(1|15)|windows-1252")


class NotXml(ValueError):
    """Says what is wrong, without a word of the answer."""


def parsed(answer: Answer) -> etree._Element:
    """The root element, without comments and processing instructions. Raises NotXml."""
    if answer.media.startswith("multipart/"):
        raise NotXml("is multipart: attachments (MTOM, SwA) are not read; ask the service for plain envelopes")
    if answer.media not in XML:
        raise NotXml("is not of an XML media type")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(answer.body, parser)
    except etree.XMLSyntaxError:
        raise NotXml("is not well-formed XML") from None
    info = root.getroottree().docinfo
    if info.doctype:  # type: ignore[union-attr]
        raise NotXml("has a document type definition, which SOAP forbids")
    if not _READ.fullmatch((info.encoding or "utf-8").lower()):
        raise NotXml("is in an encoding that is not read")
    _agreed(answer, (info.encoding or "utf-8").lower())
    return root


def _agreed(answer: Answer, encoding: str) -> None:
    """Where the HTTP header and the document name different encodings, only ASCII means the same in both."""
    said = _CHARSET.search(answer.headers.get("content-type", ""))
    named = said[1].lower() if said else encoding
    if named not in (encoding, "utf-16") and not answer.body.isascii():
        raise NotXml("is in one encoding by its header and in another by itself")
