"""Flask and zeep: one client for all threads, its answer as a dictionary."""

import os
from typing import Any

import zeep
from flask import Flask, jsonify
from zeep.helpers import serialize_object
from zeep.wsse.username import UsernameToken

app = Flask("with_zeep")
client = zeep.Client(os.environ["BENCH_WSDL"], wsse=UsernameToken(*os.environ["BUREAU_LOGIN"].split(":", 1)))
service = client.create_service(next(iter(client.wsdl.bindings)), os.environ["BUREAU_URL"])


@app.get("/credit/<national_id>")
def credit(national_id: str) -> Any:
    answer = service.assess(Subject={"NationalId": national_id}, Purpose="CREDIT")
    return jsonify(serialize_object(answer, dict))
