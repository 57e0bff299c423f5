"""Flask and pyodbc: a lookup by key over a connection per thread."""

import os
import threading
from typing import Any

import pyodbc
from flask import Flask, abort, jsonify

app = Flask("with_pyodbc")
local = threading.local()


@app.get("/customers/<id>/income")
def income(id: str) -> Any:
    if not hasattr(local, "connection"):
        local.connection = pyodbc.connect(os.environ["LEDGER_DSN"], autocommit=True)
    row = local.connection.cursor().execute("SELECT INCM, EXPN, UPDDT FROM INCOME WHERE CUSTNO = ?", id).fetchone()
    if row is None:
        abort(404)
    return jsonify(income=row.INCM, expenses=row.EXPN, updated=row.UPDDT)
