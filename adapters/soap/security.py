"""WS-Security as a SOAP system's `security` block asks for it: what is added to a request, and which body of an answer may be believed.

    {username_token: "env:LOGIN", digest: true, sign: {key: "env:KEY", cert: "env:CERT"}, verify: {cert: "env:THEIRS"}}

A signed request has its body and a timestamp signed (exclusive c14n, SHA-256, RSA or ECDSA) and shows our certificate. Of a signed answer
nothing is used but what the signature covers, read again from the very bytes that were digested: an element that only looks
like the body can't be taken for it. signxml signs and verifies; the certificates are pinned, so that no authority is asked.
"""

from __future__ import annotations

import copy
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lxml import etree
from zeep.wsse.username import UsernameToken
from zeep.wsse.utils import get_security_header

from adapters.errors import Misconfigured

Element = etree._Element
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE = f"{_OASIS}wssecurity-secext-1.0.xsd"
WSU = f"{_OASIS}wssecurity-utility-1.0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
ID = f"{{{WSU}}}Id"
TIMESTAMP = f"{{{WSU}}}Timestamp"
LASTING = timedelta(minutes=5)  # what a timestamp may be old, and ours says of itself
SKEW = timedelta(minutes=1)  # what the other side's clock may be ahead
_STRONG = "SHA256", "SHA384", "SHA512"


class Unsigned(ValueError):
    """An answer whose body may not be believed; says why."""


class Security:
    """The credentials of one system. Thread-safe. `now` is the clock, in UTC."""

    def __init__(self, name: str, block: Mapping[str, Any], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`block` is the system's `security`, references resolved. Raises Misconfigured."""
        self._now = now
        self._digest = block.get("digest", False)
        self._token = _token(name, block["username_token"], self._digest) if "username_token" in block else None
        self._signer = _Signer(name, block["sign"]) if "sign" in block else None
        self._theirs = _certificate(name, "verify.cert", block["verify"]["cert"]) if "verify" in block else None
        self._made: dict[str, Element] = {}

    def envelope(self, soap: str) -> tuple[Element, Element]:
        """An envelope of this SOAP version and its empty body."""
        if soap not in self._made:
            made = etree.Element(f"{{{soap}}}Envelope", nsmap={"soap-env": soap, **({"wsu": WSU} if self._signer else {})})
            etree.SubElement(made, f"{{{soap}}}Body")
            if self._token is not None and not self._digest:  # a plain one is the same every time
                self._token.apply(made, {})
            self._made[soap] = made
        envelope = copy.deepcopy(self._made[soap])
        return envelope, envelope[-1]

    def seal(self, envelope: Element) -> None:
        """Add what depends on the moment and on the body, which is whole now."""
        if self._token is not None and self._digest:
            self._token.apply(envelope, {})
        if self._signer is not None:
            self._signer.sign(envelope, self._now())

    def believed(self, envelope: Element, body: Element) -> Element:
        """The body that may be read: `body` itself where no signature is asked for. Raises Unsigned."""
        return body if self._theirs is None else _verified(envelope, body, self._theirs, self._now())


class _Signer:
    """Our key and certificate."""

    def __init__(self, name: str, block: Mapping[str, str]) -> None:
        self._cert = _certificate(name, "sign.cert", block["cert"])
        try:
            key = load_pem_private_key(block["key"].encode(), None)
        except (ValueError, TypeError):
            raise Misconfigured(f"sign.key of {name} is not a private key in PEM without a passphrase", backend=name) from None
        if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey) or key.public_key() != self._cert.public_key():
            raise Misconfigured(f"sign.key of {name} is not the RSA or EC key of sign.cert", backend=name)
        self._key, self._method = key, "rsa-sha256" if isinstance(key, RSAPrivateKey) else "ecdsa-sha256"

    def sign(self, envelope: Element, now: datetime) -> None:
        from signxml.algorithms import CanonicalizationMethod, SignatureConstructionMethod
        from signxml.signer import XMLSigner

        security: Element = get_security_header(envelope)  # type: ignore[no-untyped-call]
        names = [f"{part}-{uuid4()}" for part in ("body", "time", "cert")]
        envelope[-1].set(ID, names[0])
        timestamp = etree.SubElement(security, TIMESTAMP, {ID: names[1]}, nsmap={"wsu": WSU})
        for tag, at in (("Created", now), ("Expires", now + LASTING)):
            etree.SubElement(timestamp, f"{{{WSU}}}{tag}").text = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        kinds = {"EncodingType": f"{_OASIS}soap-message-security-1.0#Base64Binary", "ValueType": f"{_OASIS}x509-token-profile-1.0#X509v3"}
        token = etree.SubElement(security, f"{{{WSSE}}}BinarySecurityToken", {ID: names[2], **kinds})
        token.text = b64encode(self._cert.public_bytes(Encoding.DER)).decode()
        key_info = etree.Element(f"{{{DS}}}KeyInfo", nsmap={"ds": DS})
        shown = etree.SubElement(key_info, f"{{{WSSE}}}SecurityTokenReference", nsmap={"wsse": WSSE})
        etree.SubElement(shown, f"{{{WSSE}}}Reference", URI=f"#{names[2]}", ValueType=kinds["ValueType"])
        signer = XMLSigner(
            SignatureConstructionMethod.detached,
            signature_algorithm=self._method,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        references = [f"#{name}" for name in names[:2]]
        security.append(signer.sign(envelope, key=self._key, key_info=key_info, reference_uri=references, id_attribute="Id"))


def _verified(envelope: Element, body: Element, cert: x509.Certificate, now: datetime) -> Element:
    """The body as it was signed by the holder of `cert`, not long ago."""
    from signxml.algorithms import DigestAlgorithm, SignatureMethod
    from signxml.exceptions import SignXMLException
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    soap = etree.QName(envelope).namespace
    security = envelope.findall(f"{{{soap}}}Header/{{{WSSE}}}Security")
    timestamps = security[0].findall(TIMESTAMP) if len(security) == 1 else []
    if len(timestamps) != 1 or sum(1 for _ in envelope.iter(f"{{{DS}}}Signature")) != 1:
        raise Unsigned("it does not have one signature and one timestamp")
    expected = SignatureConfiguration(
        location=f"./{{{soap}}}Header/{{{WSSE}}}Security/",
        expect_references=True,  # any number
        signature_methods=frozenset(m for m in SignatureMethod if m.name in [f"{kind}_{h}" for kind in ("RSA", "ECDSA") for h in _STRONG]),
        digest_algorithms=frozenset(d for d in DigestAlgorithm if d.name in _STRONG),
        verification_time=now,
    )
    try:
        results = XMLVerifier().verify(envelope, x509_cert=cert, id_attribute="Id", expect_config=expected)
    except (SignXMLException, etree.LxmlError, ValueError, TypeError, AttributeError):  # what it meets in a hostile document
        raise Unsigned("its signature is not one that the pinned certificate vouches for with SHA-256 or better") from None
    covered = [result.signed_xml for result in results if result.signed_xml is not None]  # type: ignore[union-attr]
    signed = _covered(envelope, covered, body)
    _fresh(_covered(envelope, covered, timestamps[0]), now)
    return signed


def _covered(envelope: Element, covered: list[Element], node: Element) -> Element:
    """What was signed under the name of `node`, which nothing else in the document has."""
    name = node.get(ID)
    bearers = envelope.xpath("//*[@*[local-name()='Id' or local-name()='ID' or local-name()='id'] = $name]", name=name or "")
    found = [signed for signed in covered if name and signed.get(ID) == name and signed.tag == node.tag]
    if len(found) != 1 or len(bearers) != 1 or bearers[0] is not node:  # type: ignore[arg-type,index]
        raise Unsigned(f"its signature does not cover the {etree.QName(node).localname}")
    return found[0]


def _fresh(timestamp: Element, now: datetime) -> None:
    try:
        created = datetime.fromisoformat(timestamp.findtext(f"{{{WSU}}}Created", ""))
        expires = datetime.fromisoformat(timestamp.findtext(f"{{{WSU}}}Expires") or (created + LASTING).isoformat())
        fresh = now - LASTING <= created <= now + SKEW and now <= expires
    except (ValueError, TypeError):  # no date, or one without an offset
        fresh = False
    if not fresh:
        raise Unsigned("its timestamp is not of the last minutes")


def _token(name: str, login: str, digest: bool) -> Any:
    user, colon, password = login.partition(":")
    if not colon:
        raise Misconfigured(f"username_token of {name} must be user:password", backend=name)
    return UsernameToken(user, password, use_digest=digest)  # type: ignore[no-untyped-call]


def _certificate(name: str, key: str, pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise Misconfigured(f"{key} of {name} is not a certificate in PEM", backend=name) from None
