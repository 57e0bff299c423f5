"""SOAP: documents that reach out, swell or lie, signatures over something else, elements smuggled in as values, answers about others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from lxml import etree

from adapters.httpwire import Answer
from adapters.soap.document import parsed
from adapters.soap.request import fill
from adapters.soap.schema import NotPinned, Pinned
from fixtures.soap import Bureau, truth
from fixtures.soap_signed import Identity, SignedBureau
from fixtures.web import Page, Web
from tests.adapters import bureau
from tests.adapters.bureau import FULL, compiled, question
from tests.adapters.test_soap_signed import block
from tests.adapters.test_soap_signed import opened as opened_signed
from tests.attack.parts import Attack, Control, Seen, control, same

DOCUMENT, REQUEST, SECURITY, SIGNATURE, SCHEMA, ADAPTER = (
    f"adapters.soap.{n}" for n in ("document", "request", "security", "signature", "schema", "adapter")
)
NO_DTD = (DOCUMENT, "if info.doctype:", "if False:")
ENTITIES = control("no DTD, no entities", NO_DTD, (DOCUMENT, "resolve_entities=False", "resolve_entities=True"))
OUTSIDE = control(
    "no DTD, nothing is fetched",
    NO_DTD,
    (DOCUMENT, "resolve_entities=False, no_network=True, load_dtd=False", "resolve_entities=True, no_network=False, load_dtd=True"),
)
LAUGHS = control(
    "no DTD, no huge trees",
    NO_DTD,
    (DOCUMENT, "resolve_entities=False", "resolve_entities=True"),
    (DOCUMENT, "huge_tree=False", "huge_tree=True"),
)
DEPTH = control("no huge trees", (DOCUMENT, "huge_tree=False", "huge_tree=True"))
COMMENTS = control(
    "no comments inside of values",
    (DOCUMENT, "remove_comments=True", "remove_comments=False"),
    (ADAPTER, "if misfit:\n            raise self._misread", "if False:\n            raise self._misread"),
)
PIS = control("no instructions inside of values", (DOCUMENT, "remove_pis=True", "remove_pis=False"))
MEDIA = control("XML is XML", (DOCUMENT, "if answer.media not in XML:", "if False:"))
SIGNED = control(
    "answers are signed", (SECURITY, "return body if self._verify is None else self._verify(envelope, body, self._now())", "return body")
)
COVERED = control("what is read is what was signed", (SIGNATURE, "return _covered(envelope, covered, body)", "return body"))
LATELY = control("signed lately", (SIGNATURE, "_fresh(_covered(envelope, covered, timestamps[0]), now)", "pass"))
TIMED = control(
    "signed at a time",
    (SIGNATURE, "_fresh(_covered(envelope, covered, timestamps[0]), now)", "pass"),
    (SIGNATURE, "if len(timestamps) != 1 or sum(", "if sum("),
)
DIGEST = control(
    "SHA-256 or better",
    (SIGNATURE, "signature_methods=_METHODS,", "signature_methods=frozenset(SignatureMethod),"),
    (SIGNATURE, "digest_algorithms=_DIGESTS,", "digest_algorithms=frozenset(DigestAlgorithm),"),
)
PASTE = """(lambda n: parent.extend(etree.fromstring(f'<x xmlns="{n[1:].split("}")[0]}"><{slot.child.name}>{as_text(each)}'
                                                 f'</{slot.child.name}></x>')))(slot.tag)"""
ESCAPED = control("a value is text", (REQUEST, "_element(parent, slot, types).text = as_text(each)", PASTE))
FETCH = """self.contents[url] = __import__("urllib.request", fromlist=["x"]).urlopen(url).read()"""
PINNED = control(
    "nothing but the catalogue's documents", (SCHEMA, 'raise NotPinned(PurePosixPath(url).name if url.startswith("/") else url)', FETCH)
)
ECHO = control("the answer is about what was asked", (ADAPTER, "if (shown is None and rule is None) or (", "if False and ("))
FITS = control(
    "answers fit the WSDL", (ADAPTER, "if misfit:\n            raise self._misread", "if False:\n            raise self._misread")
)

DECLARED = '<?xml version="1.0"?><!DOCTYPE a [{}]><a>{}</a>'


def read(xml: str | bytes, media: str = "text/xml") -> Any:
    """The root element of an answer."""
    return parsed(Answer(200, media, {"content-type": media}, xml.encode() if isinstance(xml, str) else xml))


def reads(xml: str, wanted: str) -> Callable[[Any], Seen]:
    return lambda _: same(read(xml).text, wanted)


plain = reads("<a>GOOD &amp; <![CDATA[<well>]]></a>", "GOOD & <well>")


def file_entity(folder: Path) -> Seen:
    secret = folder / "secret"
    secret.write_text("hunter2")
    return same(read(DECLARED.format(f'<!ENTITY e SYSTEM "file://{secret}">', "&e;")).text, "hunter2")


def external_dtd(folder: Path) -> Seen:
    """The parser asks a server of the attacker's, here on this machine, or reads a DTD from its disk."""
    (folder / "evil.dtd").write_text('<!ENTITY e "from outside">')
    return same(read(f'<!DOCTYPE a SYSTEM "file://{folder}/evil.dtd"><a>&e;</a>').text, "from outside")


def laughs(depth: int, times: int, most: int) -> Callable[[Any], Seen]:
    entities = '<!ENTITY e0 "ha">' + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * times}">' for n in range(1, depth + 1))

    def act(_: Any) -> Seen:
        length = len(read(DECLARED.format(entities, f"&e{depth};")).text)
        return Seen(length > most, f"{len(entities)} bytes became {length}")

    return act


def deep(levels: int) -> Callable[[Any], Seen]:
    def act(_: Any) -> Seen:
        root, depth = read("<a>" * levels + "</a>" * levels), 0
        while len(root):
            root, depth = root[0], depth + 1
        return same(depth, levels - 1)

    return act


def as_html(_: Any) -> Seen:
    return same(read("<a>x</a>", "text/html").text, "x")


@contextmanager
def asked(twist: Callable[[bytes], bytes] = lambda xml: xml) -> Any:
    server = Bureau()
    server.twist = twist
    adapter = bureau.opened(server.start(), server.login)
    try:
        (record,) = adapter.call(question()).records
        yield record
    finally:
        adapter.close()
        server.stop()


def answered(old: str, new: str, path: tuple[str, str], wanted: str) -> Callable[[Any], Seen]:
    """Somebody at the bureau, or before it, writes `new` for `old`. Got when what comes of it is taken."""

    def act(_: Any) -> Seen:
        with asked(lambda xml: xml.replace(old.encode(), new.encode())) as record:
            return same(record[path[0]][path[1]], wanted)

    return act


def honest(_: Any) -> Seen:
    with asked() as record:
        return same(record["Result"]["NationalId"], FULL.national_id)


_MADE: list[dict[str, Identity]] = []


def identities() -> dict[str, Identity]:
    if not _MADE:
        _MADE.append({name: Identity.made() for name in ("ours", "theirs", "mallory")})
    return _MADE[0]


def signed(how: str, forged: bool = True) -> Callable[[Any], Seen]:
    """Got when an answer that an attacker made is believed; where it is `forged`, with the attacker's amount."""

    def act(_: Any) -> Seen:
        made = identities()
        server = SignedBureau(made["theirs"], made["mallory"], made["ours"].cert)
        server.attack, server.address = how, server.start()  # type: ignore[attr-defined]
        adapter = opened_signed(server, block(made["ours"], made["theirs"]))
        try:
            (record,) = adapter.call(question()).records
        finally:
            adapter.close()
            server.stop()
        limit = str(record["Result"]["Limit"])
        return Seen(not (how and forged) or limit == "9999999.00", f"believed, limit {limit}")

    return act


def _signature(name: str, by: Control, how: str, forged: bool = True) -> Attack:
    return Attack(f"soap.signature_{name}", "SOAP/XML", by, signed(how, forged), signed(""))


def sends(value: str, element: str | None = None) -> Callable[[Any], Seen]:
    """What is sent when this is the national id: got when there is an element of the attacker's, or, with None, the value itself."""

    def act(_: Any) -> Seen:
        content = etree.Element("{urn:example:bureau:credit:1}assess")
        fill(content, compiled().send, {"national_id": value}, {})
        names = [etree.QName(node).localname for node in content.iter(etree.Element)]
        texts = [node.text for node in content.iter(etree.Element)]
        return Seen(element in names if element else value in texts, f"{names}")

    return act


def pinned(url: str, wanted: bytes) -> Seen:
    try:
        return same(Pinned({"wsdl/a.xsd": b"<a/>"}).load(url), wanted)
    except NotPinned as error:
        return Seen(False, f"NotPinned: {error}")


def imported(folder: Path) -> Seen:
    """A WSDL that imports from a server of the attacker's."""
    server = Web("evil", lambda _: Page(200, "text/xml", b"<evil/>"))
    host, port = server.start()
    try:
        return pinned(f"http://{host}:{port}/evil.xsd", b"<evil/>")
    finally:
        server.stop()


def imported_file(folder: Path) -> Seen:
    (folder / "secret.xsd").write_text("<secret/>")
    return pinned(f"file://{folder}/secret.xsd", b"<secret/>")


def own_document(_: Any) -> Seen:
    return pinned("wsdl/a.xsd", b"<a/>")


OTHER = "ZZ999999A"
SAYS = f"NationalId>{FULL.national_id}<"
LIMIT = str(truth(FULL.national_id).limit)
ATTACKS = (
    Attack("soap.file_entity", "SOAP/XML", ENTITIES, file_entity, plain),
    Attack("soap.inner_entity", "SOAP/XML", ENTITIES, reads(DECLARED.format('<!ENTITY e "APPROVED">', "&e;"), "APPROVED"), plain),
    Attack("soap.external_dtd", "SOAP/XML", OUTSIDE, external_dtd, plain),
    Attack("soap.billion_laughs", "SOAP/XML", LAUGHS, laughs(3, 30, 50_000), plain),
    Attack("soap.quadratic_blow_up", "SOAP/XML", LAUGHS, laughs(2, 100, 15_000), plain),
    Attack("soap.deep", "SOAP/XML", DEPTH, deep(1000), deep(100)),
    Attack("soap.html_for_xml", "SOAP/XML", MEDIA, as_html, plain),
    Attack(
        "soap.comment_in_a_value",
        "SOAP/XML",
        COMMENTS,
        answered(SAYS, f"NationalId>{FULL.national_id}<!----> OF MALLORY<", ("Result", "NationalId"), FULL.national_id),
        honest,
    ),
    Attack("soap.comment_cuts_an_amount", "SOAP/XML", COMMENTS, reads("<a>100<!-- -->000.00</a>", "100"), plain),
    Attack("soap.instruction_cuts_an_amount", "SOAP/XML", PIS, reads("<a>100<?x ?>000.00</a>", "100"), plain),
    Attack("soap.answer_about_another", "SOAP/XML", ECHO, answered(SAYS, f"NationalId>{OTHER}<", ("Result", "NationalId"), OTHER), honest),
    Attack("soap.answer_out_of_schema", "SOAP/XML", FITS, answered(f">{LIMIT}<", ">1e9<", ("Result", "Limit"), Decimal("1e9")), honest),
    _signature("missing", SIGNED, "unsigned", False),
    _signature("of_another_key", SIGNED, "other_key", False),
    _signature("broken", SIGNED, "tampered"),
    _signature("twice", SIGNED, "two_signatures", False),
    _signature("sha1_method", DIGEST, "sha1_method", False),
    _signature("sha1_digest", DIGEST, "sha1_digest", False),
    _signature("wrapped", COVERED, "wrapped"),
    _signature("wrapped_same_id", SIGNED, "wrapped_same_id"),
    _signature("wrapped_other_attribute", COVERED, "wrapped_other_id_attribute"),
    _signature("whole_document_moved", SIGNED, "whole_document_moved"),
    _signature("not_of_the_body", COVERED, "body_not_covered", False),
    _signature("replayed", LATELY, "stale", False),
    _signature("of_the_future", LATELY, "future", False),
    _signature("without_a_time", TIMED, "no_timestamp", False),
    _signature("not_of_the_time", LATELY, "timestamp_not_covered", False),
    Attack(
        "soap.injected_element", "SOAP/XML", ESCAPED, sends("EJ100000A</NationalId><Admin>1</Admin><NationalId>", "Admin"), sends("<&>")
    ),
    Attack("soap.injected_namespace", "SOAP/XML", ESCAPED, sends('EJ<Admin xmlns="urn:evil"/>', "Admin"), sends('"x"')),
    Attack("soap.import_from_a_server", "SOAP/XML", PINNED, imported, own_document),
    Attack("soap.import_of_a_file", "SOAP/XML", PINNED, imported_file, own_document),
)
