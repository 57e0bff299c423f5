"""Flask and requests: a pass-through to a JSON service."""

import os
from typing import Any

import requests
from flask import Flask, jsonify

app = Flask("with_requests")
session = requests.Session()


@app.get("/customers/<id>")
def customer(id: str) -> Any:
    answer = session.get(f"{os.environ['ACCOUNTS_URL']}/customers/{id}", timeout=5)
    answer.raise_for_status()
    return jsonify(answer.json())
