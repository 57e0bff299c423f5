"""What HTTP callers may rely on, against a facade under real gunicorn: problems, ids, keys, bodies, jobs, health, docs."""

from __future__ import annotations

import re
import time

import pytest

from tests.flow.client import Facade, Response, is_problem

CUSTOMER = "/v1/customers/0000012345"
PAYMENT = {"debtor": "000123450001", "creditor": "000100010001", "amount": "1.25", "due": "2030-01-31"}
ADDRESS = {"line1": "9 NEW LANE", "town": "LEEDS", "postcode": "LS1 4DY"}
# --- who asks


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer x", "Basic dTpw", "Bearer fw_000000000000_" + "A" * 43, "Bearer " + "x" * 5000],
)
def test_without_a_valid_key_it_is_401_and_says_no_more(facade: Facade, authorization: str | None) -> None:
    sent = {} if authorization is None else {"Authorization": authorization}
    seen = facade.ask(f"GET {CUSTOMER}", key=None, headers=sent)
    is_problem(seen, 401)
    assert seen.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer fw_\xe9"])
def test_an_authorization_that_can_not_be_read_is_400(facade: Facade, authorization: str) -> None:
    is_problem(facade.ask(f"GET {CUSTOMER}", key=None, headers={"Authorization": authorization}), 400)


def test_a_key_without_the_scope_is_403(facade: Facade) -> None:
    assert "customers:read" in is_problem(facade.ask(f"GET {CUSTOMER}", key="operator"), 403)["detail"]


def test_a_key_bound_to_one_customer_is_403_for_another(facade: Facade) -> None:
    assert facade.ask(f"GET {CUSTOMER}", key="bound").status == 200
    is_problem(facade.ask("GET /v1/customers/0000010001", key="bound"), 403)


def test_a_purpose_that_the_key_lacks_is_403(facade: Facade) -> None:
    is_problem(facade.ask(f"GET {CUSTOMER}/risk", headers={"Figway-Purpose": "marketing"}), 403)


# --- what is asked


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/customers/", "/v2/customers/0000012345", "/favicon.ico", "/v1/customers/0000012345/"])
def test_a_path_that_nobody_serves_is_404(facade: Facade, path: str) -> None:
    is_problem(facade.ask(f"GET {path}"), 404)


def test_a_customer_whom_nobody_knows_is_404_and_names_the_system(facade: Facade) -> None:
    assert is_problem(facade.ask("GET /v1/customers/9999999999"), 404)["backend"] == "corebank"


def test_another_method_is_405_with_allow(facade: Facade) -> None:
    seen = facade.ask(f"DELETE {CUSTOMER}")
    is_problem(seen, 405)
    assert "GET" in seen.headers["allow"]


@pytest.mark.parametrize("path", ["/v1/customers/12AB", "/v1/customers/٠٠٠٠٠١٢٣٤٥".encode().decode("latin-1"), f"{CUSTOMER}?verbose=1"])
def test_values_of_the_wrong_shape_are_422_and_name_the_field(facade: Facade, path: str) -> None:
    quoted = "".join(c if c.isascii() else f"%{ord(c):02X}" for c in path)
    errors = is_problem(facade.ask(f"GET {quoted}"), 422)["errors"]
    assert errors[0]["name"] in ("customer_id", "verbose")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/..",
        "/v1/customers/../../etc/passwd",
        "/v1/customers/%2e%2e",
        "/v1/customers/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/customers/%00",
        "/v1/customers/0000012345%00",
        "/v1/customers/0000012345%0a",
        "/v1/customers/%ff%fe",
        "/v1/customers/0000012345;x=1",
        "/docs/../wrapper/app.py",
        "/docs/%2e%2e/%2e%2e/app.py",
        "/v1//customers/0000012345",
        "//v1/customers/0000012345",
    ],
)
def test_hostile_paths_are_refused(facade: Facade, path: str) -> None:
    seen = facade.ask(f"GET {path}")
    assert seen.status in (400, 404, 422), seen.content[:300]
    is_problem(seen, seen.status)


def test_a_very_long_path_is_refused_and_the_facade_lives(facade: Facade) -> None:
    assert facade.ask("GET /v1/customers/" + "1" * 3000).status == 422
    assert facade.ask("GET /v1/customers/" + "1" * 20000).status in (400, 414)
    assert facade.ask("GET /health/live", key=None).status == 200


def test_a_query_name_given_twice_is_400(facade: Facade) -> None:
    is_problem(facade.ask(f"GET {CUSTOMER}?a=1&a=2"), 400)


# --- bodies


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"payments": NaN}',
        b'{"payments": [], "payments": []}',
        b'{"payments": [{"amount": Infinity}]}',
        b'{"payments": [{"debtor": "1", "debtor": "2"}]}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_two_parsers_could_read_in_two_ways_is_400(facade: Facade, raw: bytes) -> None:
    is_problem(facade.ask("POST /v1/payments", raw=raw, headers={"Idempotency-Key": "bad-body"}), 400)


def test_another_media_type_is_415(facade: Facade) -> None:
    sent = {"Content-Type": "text/xml", "Idempotency-Key": "media"}
    is_problem(facade.ask("POST /v1/payments", raw=b"<payments/>", headers=sent), 415)


def test_more_than_a_mebibyte_is_413(facade: Facade) -> None:
    raw = b'{"payments": "' + b"x" * 1024 * 1024 + b'"}'
    is_problem(facade.ask("POST /v1/payments", raw=raw, headers={"Idempotency-Key": "large"}), 413)


def test_values_of_a_body_are_held_against_the_contract(facade: Facade) -> None:
    wrong = {"payments": [{**PAYMENT, "amount": "1.255"}]}
    errors = is_problem(facade.ask("POST /v1/payments", body=wrong, headers={"Idempotency-Key": "cents"}), 422)["errors"]
    assert "amount" in errors[0]["name"] + errors[0]["reason"]


# --- answers


def test_a_request_id_is_echoed_when_it_is_harmless_and_replaced_when_not(facade: Facade) -> None:
    assert facade.ask("GET /health/live", headers={"X-Request-Id": "my-id.1"}).headers["x-request-id"] == "my-id.1"
    for hostile in ("a b", "<script>", "x" * 65, 'a"b'):
        made = facade.ask("GET /health/live", headers={"X-Request-Id": hostile}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{16}", made)


def test_answers_carry_the_security_headers(facade: Facade) -> None:
    for request in (f"GET {CUSTOMER}", "GET /nowhere", "GET /docs/"):
        headers = facade.ask(request).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'self'" in headers["content-security-policy"]


def test_account_numbers_are_masked_but_for_those_who_may_see_them(facade: Facade) -> None:
    shown = facade.ask(f"GET {CUSTOMER}/accounts", headers={"Figway-Purpose": "credit-risk"}).body["data"]
    whole = facade.ask(f"GET {CUSTOMER}/accounts", key="auditor", headers={"Figway-Purpose": "servicing"}).body["data"]
    assert [row["account"] for row in shown] == ["*" * 8 + row["account"][-4:] for row in whole]
    assert whole[0]["account"] == "000123450001"


def test_an_answer_says_where_it_came_from(facade: Facade) -> None:
    body = facade.ask(f"GET {CUSTOMER}").body
    assert set(body) == {"data", "score", "meta"}
    assert body["meta"]["sources"] == [{"system": "corebank", "side": "legacy"}]


# --- writes and jobs


def pay(facade: Facade, name: str, *, key: str = "teller", wait: int = 0, amount: str = "1.25") -> Response:
    sent = {"Idempotency-Key": name, **({"Prefer": f"wait={wait}"} if wait else {})}
    return facade.ask("POST /v1/payments", key=key, body={"payments": [{**PAYMENT, "amount": amount}]}, headers=sent)


def test_a_write_without_a_key_of_its_own_is_400(facade: Facade) -> None:
    before = facade.estate.host.journal.count("commit")
    for sent in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "a b"}, {"Idempotency-Key": "x" * 256}):
        is_problem(facade.ask(f"PUT {CUSTOMER}/address", body=ADDRESS, headers=sent), 400)
    assert facade.estate.host.journal.count("commit") == before


def test_prefer_wait_gets_the_answer_itself(facade: Facade) -> None:
    seen = pay(facade, "wait", wait=10)
    assert seen.status == 200
    assert seen.headers["preference-applied"] == "wait=10"
    assert seen.body["meta"]["job"]["state"] == "replied"


def test_a_repeated_payment_is_replayed_and_made_once(facade: Facade) -> None:
    first, again = pay(facade, "once", wait=10, amount="77.01"), pay(facade, "once", wait=10, amount="77.01")
    assert (first.status, again.status) == (200, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.body["data"] == first.body["data"]
    made = [p for p in facade.estate.drop.batch.journal.payments if str(p.amount) == "77.01"]
    assert len(made) == 1


def test_a_key_used_for_another_request_is_422_and_of_another_caller_is_nobodys_business(facade: Facade) -> None:
    assert pay(facade, "mine", wait=10).status == 200
    is_problem(pay(facade, "mine", amount="2.00"), 422)
    assert "idempotency-replayed" not in pay(facade, "mine", key="other", wait=10).headers


def test_a_job_is_seen_by_its_own_caller_only(facade: Facade) -> None:
    taken = pay(facade, "job")
    assert taken.status == 202
    where = taken.headers["location"]
    until = time.monotonic() + 10
    while (seen := facade.ask(f"GET {where}")).body["meta"]["job"]["state"] != "replied":
        assert time.monotonic() < until, seen.body
        time.sleep(0.1)
    assert seen.status == 200
    is_problem(facade.ask(f"GET {where}", key="other"), 404)
    is_problem(facade.ask(f"GET {where}", key=None), 401)
    is_problem(facade.ask("GET /jobs/261101ABCDEF"), 404)


def test_an_address_change_is_committed_once_and_seen(facade: Facade) -> None:
    journal, path = facade.estate.host.journal, "/v1/customers/0000010020"
    before = journal.count("commit")
    sent = {"Idempotency-Key": "move"}
    first, again = (facade.ask(f"PUT {path}/address", body=ADDRESS, headers=sent) for _ in range(2))
    assert (first.status, again.status) == (200, 200), first.body
    assert again.headers["idempotency-replayed"] == "true"
    assert journal.count("commit") == before + 1
    assert facade.ask(f"GET {path}").body["data"]["line1"] == ADDRESS["line1"]
