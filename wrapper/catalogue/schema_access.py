"""The shape of access.yaml: who is believed about callers, quotas of consumers, and for how long what is personal is kept."""

from __future__ import annotations

from adapters.blocks import strict
from wrapper.access import ALGORITHMS, KEPT
from wrapper.catalogue.schema_parts import FLAG, RATIO, WORD, duration, listed, named, said, text, whole

CONSUMER = r"^(\*|([a-z0-9][a-z0-9-]*/)?[A-Za-z0-9][A-Za-z0-9:._@|~+=-]{0,199})$"
TENANT = text("", r"^[a-z0-9][a-z0-9-]{0,63}$", "a tenant like retail-uk")
NETWORK = text("", r"^([0-9A-Fa-f:.]+(/[0-9]{1,3})?|(env|file):.+)$", "a network like 10.0.0.0/24")
SCOPE = text("", r"^[a-z][a-z0-9_-]*:[a-z][a-z0-9_-]*$", "a scope like accounts:read")
PURPOSE = text("", "^[a-z][a-z0-9-]*$", "a purpose like credit-risk")

_MINUTES = "^([1-9][0-9]{1,2}s|([1-9]|[1-5][0-9]|60)m|1h)$"
_ISSUER = strict(
    "issuer jwks audience",
    issuer=text("the tokens' `iss`, to the letter"),
    jwks=text("where its keys are: an https URL, or file: and a path; read anew when they change"),
    audience=text("what the tokens' `aud` must name"),
    algorithms=listed({"enum": list(ALGORITHMS)}, "those that are believed; left out, all of these"),
    scopes=listed(SCOPE, "what its tokens may give at most, roles as role:viewer; left out, all that they name"),
    claims=named(WORD, "a claim of ours"),
    purposes=text("the claim that names the caller's purposes; left out, `purpose`"),
    tenant=text("the claim that names the caller's tenant; left out, all are of the one tenant"),
    bound=said(FLAG, "true: only tokens that are bound to a client certificate (RFC 8705)"),
    ca=text("a file of certificates that its https URL is checked against; left out, the system's"),
)
_CERTIFICATE = strict(
    "",
    san=text("the DNS name or URI in the certificate"),
    sha256=text("its fingerprint", "^[0-9a-f]{64}$", "64 small hex digits"),
    scopes=listed(SCOPE),
    purposes=listed(PURPOSE),
    claims=named(listed(WORD), "a claim"),
    tenant=TENANT,
)
_QUOTA = strict(
    "rate",
    rate=RATIO,
    burst=whole(1, 1_000_000, "how many may come at once; left out, those of a second"),
    priority=said({"enum": ["high", "normal", "low"]}, "who is held back first when a legacy system's own rate runs short"),
)
ACCESS = {
    **strict(
        "",
        issuers=named(_ISSUER, "an issuer", "^[a-z][a-z0-9-]{0,63}$"),
        issuer=strict(
            "url",
            url=text("the embedded issuer's own address, as callers reach it"),
            tokens=text("how long an access token holds; left out, 5m", _MINUTES, "a duration from 10s to 1h"),
            refresh=duration("how long a person stays signed in; left out, 8h"),
        ),
        certificates=named({**_CERTIFICATE, "minProperties": 1}, "a caller", "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"),
        proxy=strict(
            "networks",
            networks=listed(NETWORK, "where the proxy connects from, like 10.0.0.0/24"),
            certificate=text(
                "the header in which it hands on the caller's certificate, as URL-encoded PEM",
                "^[A-Za-z][A-Za-z0-9-]*$",
                "a header like X-Client-Cert, without an underscore",
            ),
        ),
        quotas=named(_QUOTA, "a consumer", CONSUMER),
        retention=strict("", **{name: duration() for name in KEPT}),
    ),
    "minProperties": 1,
}
