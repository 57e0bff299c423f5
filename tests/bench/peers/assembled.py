"""A trivial answer behind the usual extensions: a rate limit, a signed token, request metrics."""

import os
from typing import Any

import jwt
from flask import Flask, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from prometheus_flask_exporter import PrometheusMetrics

app = Flask("assembled")
PrometheusMetrics(app)
Limiter(get_remote_address, app=app, default_limits=["1000000 per minute"], storage_uri="memory://")


@app.before_request
def authenticate() -> Any:
    try:
        g.caller = jwt.decode(request.headers["Authorization"].removeprefix("Bearer "), os.environ["BENCH_SECRET"], algorithms=["HS256"])
    except (KeyError, jwt.InvalidTokenError):
        return {"error": "unauthorised"}, 401
    return None


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": g.caller["sub"]}
