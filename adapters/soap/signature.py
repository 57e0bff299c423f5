"""WS-Security signatures of envelopes, made and checked by signxml: exclusive c14n, SHA-256, RSA or ECDSA, certificates pinned.

A request has its body and a timestamp signed and shows our certificate. Of an answer nothing is used but what the signature covers, read
again from the very bytes that were digested: an element that only looks like the body can't be taken for it, and a
namespace that was not signed does not count.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier
from zeep.wsse.utils import get_security_header

from adapters.errors import Misconfigured
from adapters.soap.security import OASIS, WSSE, WSU, Unsigned

Element = etree._Element
Key = RSAPrivateKey | EllipticCurvePrivateKey
DS = "http://www.w3.org/2000/09/xmldsig#"
ID = f"{{{WSU}}}Id"
TIMESTAMP = f"{{{WSU}}}Timestamp"
LASTING = timedelta(minutes=5)  # what a timestamp may be old, and ours says of itself
SKEW = timedelta(minutes=1)  # what the other side's clock may be ahead
_STRONG = "SHA256", "SHA384", "SHA512"
_METHODS = frozenset(SignatureMethod[f"{kind}_{digest}"] for kind in ("RSA", "ECDSA") for digest in _STRONG)
_DIGESTS = frozenset(DigestAlgorithm[digest] for digest in _STRONG)
_X509 = {"EncodingType": f"{OASIS}soap-message-security-1.0#Base64Binary", "ValueType": f"{OASIS}x509-token-profile-1.0#X509v3"}


def signing(name: str, block: Mapping[str, str]) -> Callable[[Element, datetime], None]:
    """What signs an envelope at a time, with the `key` and `cert` of the block. Raises Misconfigured."""
    cert = _certificate(name, "sign.cert", block["cert"])
    try:
        key = load_pem_private_key(block["key"].encode(), None)
    except (ValueError, TypeError):
        raise Misconfigured(f"sign.key of {name} is not a private key in PEM without a passphrase", backend=name) from None
    if not isinstance(key, Key) or key.public_key() != cert.public_key():
        raise Misconfigured(f"sign.key of {name} is not the RSA or EC key of sign.cert", backend=name)
    return partial(_sign, name, key, b64encode(cert.public_bytes(Encoding.DER)).decode())


def verifying(name: str, block: Mapping[str, str]) -> Callable[[Element, Element, datetime], Element]:
    """What finds the body that the `cert` of the block vouches for, of an envelope and its body at a time. Raises Misconfigured."""
    return partial(_verified, _certificate(name, "verify.cert", block["cert"]))


def _certificate(name: str, key: str, pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise Misconfigured(f"{key} of {name} is not a certificate in PEM", backend=name) from None


def _sign(name: str, key: Key, shown: str, envelope: Element, now: datetime) -> None:
    security: Element = get_security_header(envelope)  # type: ignore[no-untyped-call]
    body, time, token = (f"{part}-{uuid4()}" for part in ("body", "time", "cert"))
    envelope[-1].set(ID, body)
    timestamp = etree.SubElement(security, TIMESTAMP, {ID: time})
    for tag, at in (("Created", now), ("Expires", now + LASTING)):
        etree.SubElement(timestamp, f"{{{WSU}}}{tag}").text = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    etree.SubElement(security, f"{{{WSSE}}}BinarySecurityToken", {ID: token, **_X509}).text = shown
    key_info = etree.Element(f"{{{DS}}}KeyInfo", nsmap={"ds": DS, "wsse": WSSE})
    reference = etree.SubElement(key_info, f"{{{WSSE}}}SecurityTokenReference")
    etree.SubElement(reference, f"{{{WSSE}}}Reference", URI=f"#{token}", ValueType=_X509["ValueType"])
    signer = XMLSigner(
        SignatureConstructionMethod.detached,
        signature_algorithm=SignatureMethod.RSA_SHA256 if isinstance(key, RSAPrivateKey) else SignatureMethod.ECDSA_SHA256,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    try:
        signed = signer.sign(envelope, key=key, key_info=key_info, reference_uri=[f"#{body}", f"#{time}"], id_attribute="Id")
    except etree.C14NError:
        raise Misconfigured(f"requests to {name} can't be signed: a namespace of its WSDL is no absolute URI", backend=name) from None
    security.append(signed)


def _verified(cert: x509.Certificate, envelope: Element, body: Element, now: datetime) -> Element:
    """The body as it was signed by the holder of `cert`, not long ago."""
    soap = etree.QName(envelope).namespace
    security = envelope.findall(f"{{{soap}}}Header/{{{WSSE}}}Security")
    timestamps = security[0].findall(TIMESTAMP) if len(security) == 1 else []
    if len(timestamps) != 1 or sum(1 for _ in envelope.iter(f"{{{DS}}}Signature")) != 1:
        raise Unsigned("it does not have one signature and one timestamp")
    expected = SignatureConfiguration(
        location=f"./{{{soap}}}Header/{{{WSSE}}}Security/",
        expect_references=True,  # any number
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        verification_time=now,
    )
    try:
        results = XMLVerifier().verify(envelope, x509_cert=cert, id_attribute="Id", expect_config=expected)
    except Exception:  # noqa: BLE001 - a hostile document makes it raise nearly anything
        raise Unsigned("its signature is not one that the pinned certificate vouches for with SHA-256 or better") from None
    covered = [result.signed_xml for result in results if result.signed_xml is not None]  # type: ignore[union-attr]
    _fresh(_covered(envelope, covered, timestamps[0]), now)
    return _covered(envelope, covered, body)


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
