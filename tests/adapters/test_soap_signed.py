"""WS-Security signatures against a service that makes and checks its own by hand: only what its key covers, lately, is believed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree

from adapters import registry
from adapters.base import Adapter, Call
from adapters.errors import AdapterError, BadLogon, Misconfigured, Misread, OutcomeUnknown
from adapters.soap.security import Security
from fixtures.customers import everyone
from fixtures.soap import ENVELOPE, SCHEMA, truth
from fixtures.soap_signed import ATTACKS, Identity, SignedBureau
from tests.adapters.bureau import BLOCK, FULL, compiled, right
from wrapper.catalogue.folder import Folder

CATALOGUE = Folder(SCHEMA.parent.parent)


@pytest.fixture(scope="module")
def identities() -> dict[str, Identity]:
    return {
        "ours": Identity.made(),
        "ours_ec": Identity.made("ec"),
        "theirs": Identity.made(),
        "theirs_ec": Identity.made("ec"),
        "mallory": Identity.made(),
    }


def started(identities: dict[str, Identity], ours: str = "ours", theirs: str = "theirs") -> SignedBureau:
    bureau = SignedBureau(identities[theirs], identities["mallory"], identities[ours].cert)
    bureau.address = bureau.start()  # type: ignore[attr-defined]
    return bureau


def opened(bureau: SignedBureau, security: dict[str, Any]) -> Adapter:
    host, port = bureau.address  # type: ignore[attr-defined]
    system = {"wsdl": "wsdl/credit.wsdl", "endpoint": f"http://{host}:{port}/credit", "security": security}
    return registry.adapter("soap").open("bureau", system, CATALOGUE, None)  # type: ignore[arg-type]


def block(ours: Identity, theirs: Identity) -> dict[str, Any]:
    return {"sign": {"key": ours.key, "cert": ours.cert}, "verify": {"cert": theirs.cert}}


def asking(effect: Any = "read") -> Call:
    return Call("credit.check", compiled(BLOCK), {"national_id": FULL.national_id}, time.monotonic() + 5, effect=effect)


@pytest.fixture
def bureau(identities: dict[str, Identity]) -> Iterator[SignedBureau]:
    bureau = started(identities)
    yield bureau
    bureau.stop()


@pytest.fixture
def soap(bureau: SignedBureau, identities: dict[str, Identity]) -> Iterator[Adapter]:
    adapter = opened(bureau, block(identities["ours"], identities["theirs"]))
    yield adapter
    adapter.close()


@pytest.mark.parametrize("ours, theirs", [("ours", "theirs"), ("ours_ec", "theirs_ec")])
def test_both_sides_believe_each_others_signatures(identities: dict[str, Identity], ours: str, theirs: str) -> None:
    bureau = started(identities, ours, theirs)
    adapter = opened(bureau, block(identities[ours], identities[theirs]))
    try:
        for _ in range(3):
            right(adapter.call(asking()))
        assert bureau.complaints == []
    finally:
        adapter.close()
        bureau.stop()


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_the_signature_does_not_vouch_for_is_a_misread_and_of_a_write_unknown(
    bureau: SignedBureau, soap: Adapter, attack: str
) -> None:
    bureau.attack = attack
    for effect, kind in (("read", Misread), ("write", OutcomeUnknown)):
        with pytest.raises(AdapterError) as met:
            soap.call(asking(effect))
        assert type(met.value) is kind
        assert "can't be believed" in met.value.detail
    bureau.attack = ""
    right(soap.call(asking()))


def test_a_signed_fault_is_what_its_rule_says(bureau: SignedBureau, soap: Adapter, identities: dict[str, Identity]) -> None:
    call = Call("credit.check", compiled(BLOCK), {"national_id": "AA999999A"}, time.monotonic() + 5)
    with pytest.raises(AdapterError) as met:
        soap.call(call)
    assert met.value.code == "not_found"
    bureau.attack = "unsigned"
    with pytest.raises(Misread):
        soap.call(call)
    stranger = opened(bureau, block(identities["mallory"], identities["theirs"]))
    bureau.attack = ""
    with pytest.raises(BadLogon):
        stranger.call(asking())
    stranger.close()


def test_a_request_may_be_signed_and_carry_a_token_while_answers_are_taken_as_they_are(
    bureau: SignedBureau, identities: dict[str, Identity]
) -> None:
    bureau.attack = "unsigned"
    for digest in (False, True):
        sign = {"key": identities["ours"].key, "cert": identities["ours"].cert}
        adapter = opened(bureau, {"username_token": "figway:secret", "digest": digest, "sign": sign})
        right(adapter.call(asking()))
        adapter.close()
    assert bureau.complaints == []


def test_a_certificate_that_has_expired_vouches_for_nothing(identities: dict[str, Identity]) -> None:
    expired = Identity.made("ec", days=-1)
    bureau = SignedBureau(expired, expired, identities["ours"].cert)
    bureau.address = bureau.start()  # type: ignore[attr-defined]
    adapter = opened(bureau, block(identities["ours"], expired))
    with pytest.raises(AdapterError, match="pinned certificate"):
        adapter.call(asking())
    adapter.close()
    bureau.stop()


def test_a_namespace_that_can_not_be_signed_is_said_so(identities: dict[str, Identity]) -> None:
    security = Security("bureau", {"sign": {"key": identities["ours"].key, "cert": identities["ours"].cert}})
    envelope, body = security.envelope(ENVELOPE)
    etree.SubElement(body, "{relative}ask")
    with pytest.raises(Misconfigured, match="no absolute URI"):
        security.seal(envelope)


@pytest.mark.parametrize(
    "security, said",
    [
        ({"sign": {"key": "nothing", "cert": "ours"}}, "sign.key of bureau is not a private key"),
        ({"sign": {"key": "ours", "cert": "nothing"}}, "sign.cert of bureau is not a certificate"),
        ({"sign": {"key": "mallory", "cert": "ours"}}, "sign.key of bureau is not the RSA or EC key of sign.cert"),
        ({"verify": {"cert": "nothing"}}, "verify.cert of bureau is not a certificate"),
    ],
)
def test_a_key_that_is_none_is_said_so_at_once(bureau: SignedBureau, identities: dict[str, Identity], security: Any, said: str) -> None:
    def filled(part: dict[str, str]) -> dict[str, str]:
        return {key: getattr(identities[who], key) if who in identities else "secret-nothing" for key, who in part.items()}

    with pytest.raises(Misconfigured) as met:
        opened(bureau, {name: filled(part) for name, part in security.items()})
    assert met.value.detail.startswith(said)
    assert "secret-nothing" not in met.value.detail


def test_a_namespace_that_only_a_value_uses_is_not_an_attackers_to_change(bureau: SignedBureau, soap: Adapter) -> None:
    """Exclusive c14n leaves out what only an xsi:type refers to: then it must not count either."""
    alone = next(c for c in everyone() if not truth(c.national_id).searches)
    bureau.twist = lambda xml: xml.replace(b"<c:Result", b'<c:Result xmlns:q="urn:example:bureau:credit:1" xsi:type="q:Result"')
    with pytest.raises(Misread):
        soap.call(Call("credit.check", compiled(BLOCK), {"national_id": alone.national_id}, time.monotonic() + 5))
