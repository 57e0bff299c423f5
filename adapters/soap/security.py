"""What a SOAP system's `security` block adds to a request: a UsernameToken as zeep writes it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from lxml import etree
from zeep.wsse.username import UsernameToken

from adapters.errors import Misconfigured

Element = etree._Element
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"


class Security:
    """The credentials of one system. Thread-safe."""

    def __init__(self, name: str, block: Mapping[str, Any]) -> None:
        """`block` is the system's `security`, references resolved. Raises Misconfigured."""
        self._token: Any = None
        self._digest = block.get("digest", False)
        if "username_token" in block:
            user, colon, password = block["username_token"].partition(":")
            if not colon:
                raise Misconfigured(f"username_token of {name} must be user:password", backend=name)
            self._token = UsernameToken(user, password, use_digest=self._digest)  # type: ignore[no-untyped-call]
        self._made: dict[str, Element] = {}

    def envelope(self, soap: str) -> tuple[Element, Element]:
        """An envelope of this SOAP version and its empty body."""
        if soap not in self._made:
            made = etree.Element(f"{{{soap}}}Envelope", nsmap={"soap-env": soap})
            etree.SubElement(made, f"{{{soap}}}Body")
            if self._token is not None and not self._digest:  # a plain one is the same every time
                self._token.apply(made, {})
            self._made[soap] = made
        envelope = copy.deepcopy(self._made[soap])
        return envelope, envelope[-1]

    def seal(self, envelope: Element, soap: str) -> None:
        """Add what depends on the moment and on the body."""
        if self._token is not None and self._digest:
            self._token.apply(envelope, {})
