"""What the facade tells about itself: health, its OpenAPI description, and the docs page that needs no other server."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema

from tests.flow.client import Facade, is_problem

CUSTOMER = "/v1/customers/0000012345"
OPENAPI_BASICS = {
    "type": "object",
    "required": ["openapi", "info", "paths", "components"],
    "properties": {
        "openapi": {"const": "3.1.0"},
        "info": {"type": "object", "required": ["title", "version"]},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "type": "object",
                "propertyNames": {"enum": ["get", "put", "post", "delete", "patch"]},
                "additionalProperties": {
                    "type": "object",
                    "required": ["operationId", "summary", "responses"],
                    "properties": {
                        "responses": {
                            "type": "object",
                            "minProperties": 1,
                            "propertyNames": {"pattern": "^[1-5][0-9][0-9]$"},
                            "additionalProperties": {"type": "object", "required": ["description"]},
                        },
                        "parameters": {
                            "type": "array",
                            "items": {"type": "object", "required": ["name", "in", "schema"]},
                        },
                    },
                },
            },
        },
    },
}


def test_health_asks_for_no_key_but_systems_does(facade: Facade) -> None:
    assert facade.ask("GET /health/live", key=None).body == {"status": "live"}
    assert facade.ask("GET /health/ready", key=None).body == {"status": "ready"}
    is_problem(facade.ask("GET /health/systems", key=None), 401)
    is_problem(facade.ask("GET /health/systems"), 403)
    states = facade.ask("GET /health/systems", key="operator")
    assert states.body == {"systems": dict.fromkeys(("accounts-api", "bureau", "corebank", "drop", "ledger"), "up")}
    assert states.status == 200


def test_the_description_is_openapi_with_resolvable_references(facade: Facade) -> None:
    seen = facade.ask("GET /openapi.json", key=None)
    document = seen.body
    jsonschema.Draft202012Validator(OPENAPI_BASICS).validate(document)
    for name in re.findall(r'"\$ref":\s*"#/components/schemas/(\w+)"', seen.content.decode()):
        assert name in document["components"]["schemas"]
    for path, item in document["paths"].items():
        for operation in item.values():
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
    for schema in _schemas(document):
        jsonschema.Draft202012Validator.check_schema(schema)
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))
    assert {"customers.get", "accounts.list", "credit.check", "income.summary", "payments.create", "customers.risk"} <= set(ids)


def _schemas(document: Any) -> list[Any]:
    if isinstance(document, list):
        return [s for part in document for s in _schemas(part)]
    if isinstance(document, dict):
        return [v for k, v in document.items() if k == "schema"] + [s for part in document.values() for s in _schemas(part)]
    return []


def test_an_answer_is_what_the_description_promises(facade: Facade) -> None:
    document = facade.ask("GET /openapi.json", key=None).body
    for path in ("", "/accounts", "/income", "/entries", "/application", "/risk"):
        purpose = "servicing" if path == "/entries" else "credit-risk"
        answer = facade.ask(f"GET {CUSTOMER}{path}", key="auditor", headers={"Figway-Purpose": purpose}).body
        promised = document["paths"][f"/v1/customers/{{customer_id}}{path}"]["get"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        schema = json.loads(json.dumps(promised).replace("#/components", "#/$defs/components"))
        jsonschema.Draft202012Validator({**schema, "$defs": {"components": document["components"]}}).validate(answer)


def test_a_redirect_is_to_a_path_of_ours_whatever_host_is_named(facade: Facade) -> None:
    seen = facade.ask("GET /docs?x=1", headers={"Host": "elsewhere.example"})
    assert (seen.status, seen.headers["location"]) == (308, "/docs/")
    assert b"elsewhere" not in seen.content


def test_the_docs_page_is_served_from_here_alone(facade: Facade) -> None:
    page = facade.ask("GET /docs/", key=None)
    assert page.status == 200
    html = page.content.decode()
    assert '{"usePkceWithAuthorizationCodeGrant": true}' in html  # else nobody could sign in there
    assets = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", html)
    assert assets
    for asset in assets:
        assert not re.match(r"(https?:)?//", asset), asset
        served = facade.ask(f"GET {asset if asset.startswith('/') else '/docs/' + asset.removeprefix('./')}", key=None)
        assert served.status == 200, asset
    assert facade.ask("GET /docs", key=None).status in (200, 301, 302, 308)
