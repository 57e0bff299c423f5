"""Flask and py3270: emulators that are signed on once and shared in a queue; a record is read from the screen by position."""

import os
import queue
from typing import Any

from flask import Flask, jsonify

from tests.bench.terminal import FIELDS, enquire, signed_on

app = Flask("with_py3270")
free: Any = queue.Queue()
for user in os.environ["BENCH_USERS"].split(","):
    free.put(signed_on(os.environ, user))


@app.get("/customers/<id>")
def customer(id: str) -> Any:
    screen = free.get()
    try:
        return jsonify(dict(zip(FIELDS, enquire(screen, id), strict=True)))
    finally:
        free.put(screen)
