"""Flask and requests: a pass-through to a JSON service."""

import os
from typing import Any

from flask import Flask, jsonify
from zeep.transports import requests  # which zeep brings: nothing of ours asks for it

app = Flask("with_requests")
session = requests.Session()


@app.get("/customers/<id>")
def customer(id: str) -> Any:
    answer = session.get(f"{os.environ['ACCOUNTS_URL']}/customers/{id}", timeout=5)
    answer.raise_for_status()
    return jsonify(answer.json())
