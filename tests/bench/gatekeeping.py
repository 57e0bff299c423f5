"""Row p, in process: what it costs to know, admit, limit, mask and put on record one request, beside what Flask's users put together.

Ours is the way of a cached read without what has to do with HTTP and the back end: a token that is remembered, scope and purpose, quota,
the object, masks of five fields, an audit record that is durable before the pass ends. One request at a time, so each has a group commit of
its own; several at once share one. Theirs is Flask-Limiter, in memory, and PyJWT's ES256 check, which it makes each time; neither knows
objects, masks or an audit trail. CPU of the whole process.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, request
from flask_limiter import Limiter
from joserfc.jwk import ECKey

from tests.bench.estate import CUSTOMERS
from tests.bench.table import Row
from wrapper import access, assembly
from wrapper.access import Access
from wrapper.leaving import shown
from wrapper.operation import Operation
from wrapper.policy.keys import authorise
from wrapper.policy.known import Known
from wrapper.policy.mask import Masks
from wrapper.policy.quotas import Quotas
from wrapper.policy.tokens import Tokens, trusted
from wrapper.request import Answer, Given, Request

CROWD = 8
ISSUER, AUDIENCE = "https://issuer.example", "figway"
ROW = {
    "customer_id": CUSTOMERS[0], "name": "ANNA ALLEN", "national_id": "AA100001A", "line1": "1 HIGH STREET", "town": "LEEDS",
    "postcode": "LS1 1AA", "since": "1986-04-17", "assets": "4000.00", "debt": "0.00",
}  # fmt: skip
Work = Callable[[], object]


def row(parts: assembly.Figway, folder: Path, rounds: int, calls: int = 300) -> Row:
    """The medians of what a request costs, round by round in turn."""
    key = ec.generate_private_key(ec.SECP256R1())
    file = folder / "jwks.json"
    public = ECKey.import_key(key.public_key())
    file.write_text(json.dumps({"keys": [{**public.as_dict(private=False), "kid": "bench", "alg": "ES256", "use": "sig"}]}))
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "bench", "client_id": "bench", "exp": now + 3600, "iat": now, "jti": "1"}
    said = {**claims, "scope": "bench:read", "purpose": "servicing", "customers": ["*"]}
    token = f"Bearer {jwt.encode(said, key, 'ES256', headers={'typ': 'at+jwt', 'kid': 'bench'})}"
    block = {
        "issuers": {"bench": {"issuer": ISSUER, "jwks": str(file), "audience": AUDIENCE, "claims": {"customer": "customers"}}},
        "quotas": {"*": {"rate": "100000/s", "burst": 100_000}},
    }
    once, (bare, guarded) = _pass(parts, access.read(block, {}), token), _assembled(token, key)
    met = [[_cpu(work, calls) for work in (once, guarded, bare)] + [_crowded(once, calls)] for _ in range(rounds + 1)][1:]
    ours, theirs, crowded = (statistics.median(each) for each in zip(*((a, b - c, d) for a, b, c, d in met), strict=True))
    told = f"{ours:.0f} us; {crowded:.0f} us with {CROWD} at once; Flask-Limiter and PyJWT {theirs:.0f} us, without the last three"
    what = "the whole pass of a request, CPU: remembered token, scope, quota, object, masks, audit record on disk"
    return Row("p", what, told, ours, None, 150, "less", " us")


def _cpu(work: Work, calls: int) -> float:
    """Microseconds a call, of all threads of this process."""
    began = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - began) / calls * 1e6


def _crowded(work: Work, calls: int) -> float:
    with ThreadPoolExecutor(CROWD) as pool:
        began = time.process_time()
        for done in [pool.submit(work) for _ in range(calls)]:
            done.result()
        return (time.process_time() - began) / calls * 1e6


def _pass(parts: assembly.Figway, given: Access, token: str) -> Work:
    service = parts.service
    operation: Operation = parts.catalogue.operations["cached.get"]
    known = Known(parts.store, Tokens(trusted(given, parts.store.public_keys)))
    quotas = Quotas(given, {}, parts.store)
    masks = Masks(operation.fields, lambda: b"x" * 32, lambda kind, value, tenant: value)
    path = {"customer_id": CUSTOMERS[0]}
    answer = Answer(200, {"data": ROW, "score": None, "meta": {"sources": [{"system": "accounts-api", "side": "legacy"}]}})

    def once() -> Mapping[str, object]:
        caller = known.caller(token, None)
        asked = Request(caller, Given(path, {}, {}, {}), "bench")
        with service.audit.entry(operation, asked) as entry:
            entry.purpose = authorise(operation.auth, caller, None)
            quotas.spend(operation, caller, asked.told)
            entry.concerns(path)
            service.authorise_object[operation.name](caller, path)
            made = entry.answered(shown(answer, masks, caller), time.monotonic() + 5)
        assert made.status == 200
        return made.body

    assert once()["data"] != ROW  # masked
    return once


def _assembled(token: str, key: ec.EllipticCurvePrivateKey) -> tuple[Work, Work]:
    """A Flask application, and one with the two extensions."""
    public = key.public_key()
    bare, guarded = Flask("bare"), Flask("guarded")
    limiter = Limiter(lambda: "bench", app=guarded, default_limits=["100000000 per minute"], storage_uri="memory://", headers_enabled=True)

    @guarded.before_request
    def check() -> None:
        jwt.decode(request.headers["Authorization"][7:], public, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER)

    for app in (bare, guarded):
        app.add_url_rule("/", "hello", lambda: {"data": ROW})
    assert limiter.enabled
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": "x", "SERVER_PORT": "80", "HTTP_AUTHORIZATION": token,
        "wsgi.url_scheme": "http", "wsgi.input": None, "REMOTE_ADDR": "127.0.0.1",
    }  # fmt: skip

    def asked(app: Flask) -> object:
        return b"".join(app.wsgi_app(dict(environ), lambda *_: None))

    assert json.loads(asked(guarded)) == {"data": ROW}  # type: ignore[arg-type]
    return lambda: asked(bare), lambda: asked(guarded)
