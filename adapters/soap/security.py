"""WS-Security as a SOAP system's `security` block asks for it: what is added to a request, and which body of an answer may be believed.

{username_token: "env:LOGIN", digest: true, sign: {key: "env:KEY", cert: "env:CERT"}, verify: {cert: "env:THEIRS"}}
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from lxml import etree
from zeep.wsse.username import UsernameToken

from adapters.errors import Misconfigured

Element = etree._Element
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE = f"{OASIS}wssecurity-secext-1.0.xsd"
WSU = f"{OASIS}wssecurity-utility-1.0.xsd"


class Unsigned(ValueError):
    """An answer whose body may not be believed; says why."""


class Security:
    """The credentials of one system. Thread-safe. `now` is the clock, in UTC."""

    def __init__(self, name: str, block: Mapping[str, Any], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`block` is the system's `security`, references resolved. Raises Misconfigured."""
        self._now = now
        self._digest = block.get("digest", False)
        self._token = _token(name, block["username_token"], self._digest) if "username_token" in block else None
        self.user = self._token.username if self._token is not None else ""
        self._sign: Callable[[Element, datetime], None] | None = None
        self._verify: Callable[[Element, Element, datetime], Element] | None = None
        if "sign" in block or "verify" in block:
            from adapters.soap import signature  # signxml and cryptography are loaded only where something is signed

            self._sign = signature.signing(name, block["sign"]) if "sign" in block else None
            self._verify = signature.verifying(name, block["verify"]) if "verify" in block else None
        self._made: dict[str, Element] = {}

    def envelope(self, soap: str) -> tuple[Element, Element]:
        """An envelope of this SOAP version and its empty body."""
        if soap not in self._made:
            made = etree.Element(f"{{{soap}}}Envelope", nsmap={"soap-env": soap, **({"wsu": WSU} if self._sign else {})})
            etree.SubElement(made, f"{{{soap}}}Body")
            if self._token is not None and not self._digest:  # a plain one is the same every time
                self._token.apply(made, {})
            self._made[soap] = made
        envelope = copy.deepcopy(self._made[soap])
        return envelope, envelope[-1]

    def seal(self, envelope: Element) -> None:
        """Add what depends on the moment and on the body, which is whole now. Raises Misconfigured."""
        if self._token is not None and self._digest:
            self._token.apply(envelope, {})
        if self._sign is not None:
            self._sign(envelope, self._now())

    def believed(self, envelope: Element, body: Element) -> Element:
        """The body that may be read: `body` itself where no signature is asked for. Raises Unsigned."""
        return body if self._verify is None else self._verify(envelope, body, self._now())


def _token(name: str, login: str, digest: bool) -> Any:
    user, colon, password = login.partition(":")
    if not colon:
        raise Misconfigured(f"username_token of {name} must be user:password", backend=name)
    return UsernameToken(user, password, use_digest=digest)  # type: ignore[no-untyped-call]
