"""Client certificates: whose token a stolen one is not, and who calls by a certificate alone."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fixtures.issuer import IssuerWeb, signer, token
from wrapper.access import Certificate, Issuer
from wrapper.policy.jwks import source
from wrapper.policy.keys import Caller, KeyRow, new
from wrapper.policy.known import Known
from wrapper.policy.peers import Certificates, thumbprint
from wrapper.policy.tokens import Tokens
from wrapper.problems import RequestError, Unauthenticated

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.datetime.now(datetime.UTC)


def certificate(*names: x509.GeneralName, began: float = -1.0, days: float = 1.0) -> bytes:
    """In DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "batch.claims.example")])
    day = datetime.timedelta(days=1)
    made = x509.CertificateBuilder(name, name, KEY.public_key(), x509.random_serial_number(), NOW + began * day, NOW + days * day)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), False)
    return made.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


HOST, SPIFFE = x509.DNSName("batch.claims.example"), x509.UniformResourceIdentifier("spiffe://bank/batch")
MINE, THEIRS = certificate(HOST), certificate(x509.DNSName("other.example"))
ODD = certificate()


def known_by(name: str, san: str = "", sha256: str = "") -> Certificate:
    return Certificate(name, san, sha256, frozenset({"a:read"}), frozenset({"servicing"}), {"customer": frozenset({"*"})}, "retail-uk")


class Store:
    """One key."""

    def __init__(self) -> None:
        self.sent, self.row = new(Caller("ui"))

    def key(self, id: str) -> KeyRow | None:
        return self.row if id == self.row.id else None


CERTIFICATES = [
    known_by("batch", "batch.claims.example"), known_by("mesh", "spiffe://bank/batch"),
    known_by("odd", sha256=hashlib.sha256(ODD).hexdigest()),
]  # fmt: skip


@pytest.fixture(scope="module")
def web() -> Iterator[IssuerWeb]:
    made = IssuerWeb(SIGNER)
    yield made
    made.stop()


SIGNER = signer()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def known(web: IssuerWeb, store: Store) -> Known:
    issuer = Issuer("sso", web.name, web.jwks, "figway")
    strict = Issuer("strict", "https://strict.example", web.jwks, "figway", bound=True)
    return Known(store, Tokens([(issuer, source(issuer)), (strict, source(strict))]), Certificates(CERTIFICATES))


def refused(known: Known, sent: str | None, peer: bytes | None) -> str:
    with pytest.raises(Unauthenticated) as error:
        known.caller(sent, peer)
    return error.value.headers["WWW-Authenticate"]


def test_a_certificate_that_says_nobody_is_told_why(known: Known) -> None:
    for peer, why in ((THEIRS, "no caller known here"), (certificate(HOST, began=-3, days=-1), "has expired")):
        with pytest.raises(Unauthenticated, match=f"{why}.*; send an API key"):
            known.caller(None, peer)


def test_a_bound_token_is_its_certificates_holders_at_each_request(web: IssuerWeb, known: Known) -> None:
    sent = f"Bearer {token(SIGNER, web.claims(cnf={'x5t#S256': thumbprint(MINE)}))}"
    for stolen in (None, THEIRS, MINE[:-1], b""):
        assert 'error="invalid_token"' in refused(known, sent, stolen)
    assert known.caller(sent, MINE).bound == thumbprint(MINE)
    for stolen in (None, THEIRS, MINE[:-1], b""):  # now that it is remembered
        assert 'error="invalid_token"' in refused(known, sent, stolen)
    assert known.caller(sent, MINE).name == "sso:alice"


def test_a_token_that_is_not_bound_is_anybodys_unless_its_issuer_binds_all(web: IssuerWeb, known: Known) -> None:
    for peer in (None, MINE, THEIRS):
        assert known.caller(f"Bearer {token(SIGNER, web.claims())}", peer).bound == ""
    strict = web.claims(iss="https://strict.example")
    assert 'error="invalid_token"' in refused(known, f"Bearer {token(SIGNER, strict)}", MINE)
    bound = f"Bearer {token(SIGNER, {**strict, 'cnf': {'x5t#S256': thumbprint(MINE)}})}"
    assert known.caller(bound, MINE).name == "strict:alice"


def test_a_caller_is_known_by_its_certificate_alone(known: Known) -> None:
    for _ in range(2):
        caller = known.caller(None, MINE)
        assert (caller.principal, caller.via, caller.scopes) == ("retail-uk/cert:batch", "certificate", {"a:read"})
    assert known.caller(None, certificate(SPIFFE)).name == "cert:mesh"
    assert known.caller(None, certificate(x509.DNSName("BATCH.claims.example"))).name == "cert:batch"
    assert known.caller(None, ODD).name == "cert:odd"


NOBODYS = [
    THEIRS,
    certificate(),  # its common name is no name of it
    certificate(x509.DNSName("x.batch.claims.example")),
    certificate(x509.DNSName("*.claims.example")),
    certificate(x509.DNSName("spiffe://bank/batch")),
    certificate(x509.UniformResourceIdentifier("batch.claims.example")),
    certificate(x509.UniformResourceIdentifier("SPIFFE://bank/batch")),
    certificate(HOST, SPIFFE),  # two callers' at once
    certificate(HOST, began=-2, days=-1),
    certificate(HOST, began=0.5),
    b"",
    b"no certificate",
    MINE[:-9],
    MINE + b"x",
]


@pytest.mark.parametrize("peer", NOBODYS, ids=range(len(NOBODYS)))
def test_another_certificate_is_nobodys(known: Known, peer: bytes) -> None:
    for _ in range(2):
        assert refused(known, None, peer) == 'Bearer realm="figway"'


def test_a_header_says_who_calls_whatever_the_certificate_says(known: Known, store: Store) -> None:
    assert known.caller(f"Bearer {store.sent}", MINE).name == "ui"
    for wrong in ("", "Basic eDp5", "Bearer fw_x", "Bearer a.b.c", "Bearer"):
        with pytest.raises(RequestError):
            known.caller(wrong, MINE)
    assert known.caller(None, MINE).name == "cert:batch"


def test_a_certificate_that_ends_is_not_remembered_past_its_end() -> None:
    now = [NOW.timestamp()]
    certificates = Certificates(CERTIFICATES, lambda: now[0])
    steady = [0.0]
    known = Known(Store(), None, certificates, clock=lambda: steady[0], wall=lambda: now[0])
    short = certificate(HOST, days=2 / 86400)
    assert known.caller(None, short).name == "cert:batch"
    for clock in (now, steady):
        clock[0] += 2
    assert refused(known, None, short) == 'Bearer realm="figway"'
