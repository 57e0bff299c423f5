"""A cached customer behind the usual extensions: a rate limit, a signed token, request metrics, a schema."""

import os
from typing import Any

import jwt
from cachetools import TTLCache
from flask import Flask, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from marshmallow import Schema, fields, validate
from prometheus_flask_exporter import PrometheusMetrics

app = Flask("assembled")
PrometheusMetrics(app)
Limiter(get_remote_address, app=app, default_limits=["1000000 per minute"], storage_uri="memory://")
kept: Any = TTLCache(10_000, 300)


class Asked(Schema):
    customer_id = fields.String(required=True, validate=validate.Regexp("[0-9]{10}$"))


class Customer(Schema):
    customer_id, name, national_id, line1, town, postcode = (fields.String() for _ in range(6))
    since = fields.Date()
    assets, debt = (fields.Decimal(places=2, as_string=True) for _ in range(2))


asked, customers = Asked(), Customer()


@app.before_request
def authenticate() -> Any:
    try:
        g.caller = jwt.decode(request.headers["Authorization"].removeprefix("Bearer "), os.environ["BENCH_SECRET"], algorithms=["HS256"])
    except (KeyError, jwt.InvalidTokenError):
        return {"error": "unauthorised"}, 401
    return None


@app.get("/customers/<id>")
def customer(id: str) -> Any:
    asked.load({"customer_id": id})
    if id not in kept:
        told = {"name": "HUGO FISCHER", "national_id": "EJ100000A", "line1": "196 CHURCH STREET", "town": "YORK", "postcode": "BD12 5EH"}
        kept[id] = customers.load({"customer_id": id, **told, "since": "2010-10-13", "assets": "4000.00", "debt": "1250.50"})
    return customers.dump(kept[id])
