"""access.yaml, as data: whom Figway believes about who is calling, how often a consumer may call, and how long what is personal is kept.

The file is the catalogue's and optional: without it there are API keys, no quotas but those of the endpoints, and the retention below.
What it says is checked with the catalogue (`catalogue/schema_access.py`); hosts and secrets are references, resolved here at the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from adapters.blocks import seconds
from wrapper.settings import BadSettings, resolve
from wrapper.units import DAY

Network: TypeAlias = IPv4Network | IPv6Network

ALGORITHMS = ("ES256", "Ed25519", "EdDSA", "PS256", "RS256")
"""Of tokens that are believed, unless an issuer says fewer."""
_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?|http://(127\.0\.0\.1|localhost)(:\d{1,5})?", re.ASCII)
OWN = "figway"
"""The embedded issuer's name among the issuers: its callers are named `figway:<sub>`. Its tokens are ES256, their `aud` is its own URL;
beside `scope` they have `purpose` (a list), `tenant` (if any) and `claims`, like {"customer": ["0000012345"]}."""
KEPT: Mapping[str, float] = {
    "answers": 30 * DAY, "jobs": 90 * DAY, "samples": 30 * DAY, "decisions": 730 * DAY, "audit": 2555 * DAY,
}  # fmt: skip
"""Seconds for which each class of what is kept stays, unless `retention` says otherwise."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`amount` tokens each `period` seconds; a bucket holds `burst` at most. `priority` consumers are served where others are held back."""

    amount: float
    period: float
    burst: float
    priority: str = "normal"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who makes access tokens that are believed: `issuer` is their `iss` to the letter, `jwks` a URL or a file. `claims` says which of
    their claims is ours: {"customer": "customers"}; `purposes` and `tenant` name one each. `bound`: only those bound to a certificate.
    `scopes`, where there are some, are what its tokens give at most. `own`: the embedded one, whose tokens are as OWN says."""

    name: str
    issuer: str
    jwks: str
    audience: str
    algorithms: tuple[str, ...] = ALGORITHMS
    claims: Mapping[str, str] = field(default_factory=dict)
    purposes: str = "purpose"
    tenant: str = ""
    bound: bool = False
    ca: str = ""
    scopes: frozenset[str] = frozenset()
    own: bool = False


@dataclass(frozen=True, slots=True)
class OwnIssuer:
    """The embedded issuer: `url` is what its tokens say it is; seconds for which an access token and a refresh token hold."""

    url: str
    tokens: float = 300.0
    refresh: float = 8 * 3600.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """A caller known by its client certificate alone: `san` is the DNS name or URI in it, or `sha256` its fingerprint in hex."""

    name: str
    san: str
    sha256: str
    scopes: frozenset[str]
    purposes: frozenset[str]
    claims: Mapping[str, frozenset[str]]
    tenant: str


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that ends TLS: from its `networks` alone a `certificate` header (URL-encoded PEM) and X-Forwarded-For are heeded."""

    networks: tuple[Network, ...]
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """All of the file. `quotas` are by consumer; that of "*" is everybody's own."""

    issuers: Mapping[str, Issuer] = field(default_factory=dict)
    issuer: OwnIssuer | None = None
    certificates: tuple[Certificate, ...] = ()
    proxy: Proxy | None = None
    quotas: Mapping[str, Rate] = field(default_factory=dict)
    retention: Mapping[str, float] = field(default_factory=lambda: KEPT)


def read(block: Mapping[str, Any], environ: Mapping[str, str]) -> Access:
    """The file's checked content. Raises BadSettings for a reference that leads nowhere."""
    raw = resolve(block, environ, "access.yaml")
    own = [raw["issuer"]["url"]] if "issuer" in raw else []
    issued = [one["issuer"] for one in raw.get("issuers", {}).values()] + own
    if len(issued) != len(set(issued)):
        raise BadSettings("access.yaml.issuers: two of them are one issuer; each has an `issuer` of its own")
    return Access(
        issuers={name: _issuer(name, one, block["issuers"][name]["jwks"]) for name, one in raw.get("issuers", {}).items()},
        issuer=_own(raw["issuer"]) if "issuer" in raw else None,
        certificates=tuple(_certificate(name, one) for name, one in raw.get("certificates", {}).items()),
        proxy=_proxy(raw["proxy"]) if "proxy" in raw else None,
        quotas={name: rate(one["rate"], one.get("burst"), one.get("priority", "normal")) for name, one in raw.get("quotas", {}).items()},
        retention={**KEPT, **{name: seconds(kept) for name, kept in raw.get("retention", {}).items()}},
    )


def rate(text: str, burst: int | None = None, priority: str = "normal") -> Rate:
    """`5/s`, `100/m`, `1000/h`; a burst that is not said is what comes in within a second, or a tenth of a minute's or hour's amount."""
    amount, _, unit = text.partition("/")
    period = {"s": 1.0, "m": 60.0, "h": 3600.0}[unit]
    return Rate(float(amount), period, float(burst or max(1.0, float(amount) / min(period, 10.0))), priority)


def _issuer(name: str, raw: Mapping[str, Any], said: str) -> Issuer:
    """A `file:` of keys stays a file, for it is read again when the keys change."""
    given = {key: raw[key] for key in ("issuer", "audience", "purposes", "tenant", "bound", "ca") if key in raw}
    jwks = said.removeprefix("file:") if said.startswith("file:") else raw["jwks"]
    if unfit := unsafe(jwks):
        raise BadSettings(f"access.yaml.issuers.{name}.jwks: {unfit}")
    given |= {"claims": raw.get("claims", {}), "scopes": frozenset(raw.get("scopes", ()))}
    return Issuer(name, jwks=jwks, algorithms=tuple(raw.get("algorithms", ALGORITHMS)), **given)


def unsafe(jwks: str) -> str:
    """Why keys must not be fetched from there; empty when they may."""
    try:
        parts = urlsplit(jwks)
    except ValueError:
        return "the URL of the keys can't be read"
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        return "keys come over https, but for this machine's own http://127.0.0.1"
    if parts.scheme in ("http", "https") and (not parts.hostname or parts.username is not None or parts.fragment):
        return "the URL of the keys must look like https://host:port/path, without user or fragment"
    return "" if parts.scheme in ("http", "https", "") else "write an https URL, or file: and the path of a file"


def _own(raw: Mapping[str, Any]) -> OwnIssuer:
    if not _ADDRESS.fullmatch(raw["url"]):
        raise BadSettings("access.yaml: issuer.url must be like https://figway.example, without a path; http is for this machine alone")
    return OwnIssuer(raw["url"], **{name: seconds(raw[name]) for name in ("tokens", "refresh") if name in raw})


def _proxy(raw: Mapping[str, Any]) -> Proxy:
    try:
        networks = tuple(ip_network(network) for network in raw["networks"])
    except ValueError:
        raise BadSettings("access.yaml.proxy.networks: each must be a network like 10.0.0.0/24, without bits beyond its prefix") from None
    if any(network.prefixlen == 0 for network in networks):
        raise BadSettings("access.yaml.proxy.networks: name the proxy's own networks, not the whole world")
    return Proxy(networks, raw.get("certificate", ""))


def _certificate(name: str, raw: Mapping[str, Any]) -> Certificate:
    claims = {claim: frozenset(values) for claim, values in raw.get("claims", {}).items()}
    scopes, purposes = frozenset(raw.get("scopes", ())), frozenset(raw.get("purposes", ()))
    return Certificate(name, raw.get("san", ""), raw.get("sha256", ""), scopes, purposes, claims, raw.get("tenant", ""))
