"""Who a request comes from: what the trusted proxy says is believed, and what anybody else says in its place is refused."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import quote

import pytest

from wrapper import access
from wrapper.access import Proxy
from wrapper.policy.proxied import ADDRESS, PEER, place
from wrapper.problems import RequestError
from wrapper.settings import BadSettings

DER = bytes(range(256)) * 3
SENT = quote(ssl.DER_cert_to_PEM_cert(DER), safe="")
BLOCK = {"networks": ["10.0.0.0/24", "2001:db8::/32"], "certificate": "X-Client-Cert"}


def proxy(**more: Any) -> Proxy:
    made = access.read({"proxy": {**BLOCK, **more}}, {}).proxy
    assert made is not None
    return made


def placed(address: str, by: Proxy | None = None, peer: bytes | None = None, **headers: str) -> tuple[str, bytes | None]:
    environ: dict[str, Any] = {"REMOTE_ADDR": address, **{f"HTTP_{name}": value for name, value in headers.items()}}
    if peer is not None:
        environ[PEER] = peer
    place(by, environ)
    return environ[ADDRESS], environ.get(PEER)


def test_without_a_proxy_it_is_the_connection_that_says_it() -> None:
    told = {"X_FORWARDED_FOR": "9.9.9.9", "X_CLIENT_CERT": SENT}
    assert placed("10.0.0.1", **told) == ("10.0.0.1", None)
    assert placed("::ffff:10.0.0.1", peer=b"theirs", **told) == ("10.0.0.1", b"theirs")


def test_a_proxy_says_who_asked_it_and_its_own_certificate_is_nobodys() -> None:
    assert placed("10.0.0.7", proxy(), peer=b"the proxy's") == ("10.0.0.7", None)
    assert placed("10.0.0.7", proxy(), X_CLIENT_CERT="") == ("10.0.0.7", None)
    assert placed("10.0.0.7", proxy(), peer=b"the proxy's", X_CLIENT_CERT=SENT, X_FORWARDED_FOR="9.9.9.9") == ("9.9.9.9", DER)
    assert placed("10.0.0.7", proxy(), X_CLIENT_CERT=quote(ssl.DER_cert_to_PEM_cert(DER), safe="/+ ="))[1] == DER


def test_anybody_else_who_sends_the_proxys_header_is_refused() -> None:
    assert placed("10.0.1.7", proxy(), peer=b"theirs", X_FORWARDED_FOR="9.9.9.9") == ("10.0.1.7", b"theirs")
    with pytest.raises(RequestError, match="X-Client-Cert is for the proxy alone"):
        placed("10.0.1.7", proxy(), X_CLIENT_CERT=SENT)
    with pytest.raises(RequestError, match="for the proxy alone"):
        placed("10.0.1.7", proxy(), X_CLIENT_CERT="")


@pytest.mark.parametrize("sent", [f"{SENT},{SENT}", SENT + SENT, f"{SENT},", "(null)", SENT[:-90], SENT.replace("AAE", "A*E"), "%00", "x"])
def test_a_header_that_is_not_one_certificate_is_refused(sent: str) -> None:
    with pytest.raises(RequestError, match="X-Client-Cert must be there once"):
        placed("10.0.0.7", proxy(), X_CLIENT_CERT=sent)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("", "10.0.0.7"),
        ("1.1.1.1, 9.9.9.9", "9.9.9.9"),
        ("9.9.9.9,10.0.0.9, 2001:db8::9", "9.9.9.9"),
        ("garbage,9.9.9.9:4711", "9.9.9.9"),
        ("[2001:DB9::1]:443", "2001:db9::1"),
        ("::ffff:9.9.9.9", "9.9.9.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("10.0.0.8,10.0.0.9", "10.0.0.8"),
        ("9.9.9.9, 10.0.0.1,,", "9.9.9.9"),
    ],
)
def test_the_caller_is_the_last_hop_that_is_no_proxy(forwarded: str, address: str) -> None:
    assert placed("10.0.0.7", proxy(), X_FORWARDED_FOR=forwarded)[0] == address


@pytest.mark.parametrize("forwarded", ["unknown", "9.9.9.9, _x", "9.9.9.9:x", "09.9.9.9", "٩.9.9.9", "9.9.9.9, 10.0.0.256"])
def test_a_proxy_that_does_not_say_an_address_is_refused(forwarded: str) -> None:
    with pytest.raises(RequestError, match="X-Forwarded-For must list addresses"):
        placed("10.0.0.7", proxy(), X_FORWARDED_FOR=forwarded)


def test_a_proxy_is_somewhere_and_not_everywhere() -> None:
    for network, said in (("10.0.0.1/24", "bits beyond its prefix"), ("proxy", "must be a network"), ("::/0", "not the whole world")):
        with pytest.raises(BadSettings, match=said):
            proxy(networks=[network])
