"""The end of an endpoint's life: announced on all that it answers, refused only by a person or while a brown-out is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from adapters.base import Call
from adapters.errors import Unavailable
from tests.unit.small import ALICE, Scripted, missing, operation, service
from wrapper import http, openapi, retiring
from wrapper.access import Access
from wrapper.catalogue import Folder
from wrapper.edge import Facade
from wrapper.metrics import Metrics
from wrapper.migration.decide import Standing
from wrapper.operation import Catalogue, Migration, Operation, Stage
from wrapper.problems import BrownOut, Gone
from wrapper.settings import Settings
from wrapper.state.holder import Holder
from wrapper.systems import Systems
from wrapper.telemetry import Telemetry

NOON = datetime(2027, 5, 1, 12, tzinfo=UTC)
ENDING = Migration(
    deprecated=date(2026, 12, 1),
    sunset=date(2027, 6, 30),
    successor="/v2/things/{id}",
    brown_outs=((NOON, NOON.replace(hour=13)),),
)
ANNOUNCED = {
    "Deprecation": "@1796083200",  # 2026-12-01T00:00Z
    "Sunset": "Wed, 30 Jun 2027 00:00:00 GMT",
    "Link": '</v2/things/7>; rel="successor-version"',
}
OLD = operation(migration=ENDING)


def asked(folder: Path, back_end: Scripted, op: Operation, stage: Stage = "legacy") -> Callable[..., TestResponse]:
    """A client of a facade over that back end, with a key."""
    made, store = service(folder, back_end, op)
    store.move([op.name], Standing(stage), "anna", "its time has come")
    token = store.issue(ALICE)
    app = Facade("figway")
    systems = Systems(Catalogue({}, {}, "hash"), Settings(folder, "", folder), Folder(folder), Holder(store))
    http.install(app, made, systems, store, Telemetry(Metrics()), Access())
    client = Client(app)
    return lambda path="/things/7", **headers: client.get(path, headers={"Authorization": f"Bearer {token}", **headers})


def shown(response: TestResponse) -> Mapping[str, str]:
    return {name: response.headers[name] for name in ANNOUNCED if name in response.headers}


def down(_call: Call) -> Any:
    raise Unavailable("the back end is away", backend="scripted")


def broken(_call: Call) -> Any:
    raise RuntimeError("a fault of our own")


@pytest.mark.parametrize(
    ("back_end", "status"), [(Scripted(), 200), (Scripted(missing), 404), (Scripted(down), 503), (Scripted(broken), 500)]
)
def test_every_answer_announces_the_end(tmp_path: Path, back_end: Scripted, status: int) -> None:
    answer = asked(tmp_path, back_end, OLD)()
    assert (answer.status_code, shown(answer)) == (status, ANNOUNCED)


def test_also_one_to_a_stranger_and_one_that_has_not_changed(tmp_path: Path) -> None:
    ask = asked(tmp_path, Scripted(), OLD)
    stranger, unchanged = ask(Authorization="Bearer x"), ask(**{"If-None-Match": ask().headers["ETag"]})
    assert [(a.status_code, shown(a)) for a in (stranger, unchanged)] == [(401, ANNOUNCED), (304, ANNOUNCED)]


def test_an_endpoint_that_does_not_end_announces_nothing(tmp_path: Path) -> None:
    assert shown(asked(tmp_path, Scripted(), operation(migration=Migration()))()) == {}
    assert retiring.announced(operation()) is None


def test_what_the_caller_puts_into_the_path_stays_inside_the_links_target(tmp_path: Path) -> None:
    answer = asked(tmp_path, Scripted(), OLD)("/things/a%3E%0D%0Ab%3B%20%C3%A9%3Fx")
    assert answer.headers.getlist("Link") == ['</v2/things/a%3E%0D%0Ab%3B%20%C3%A9%3Fx>; rel="successor-version"']


def test_a_date_alone_never_refuses() -> None:
    for stage in ("legacy", "shadow", "canary", "modern"):
        retiring.refuse(OLD, stage, datetime(2030, 1, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("told", [None, Migration(), ENDING])
def test_what_a_person_retired_is_gone_and_names_what_comes_after(told: Migration | None) -> None:
    with pytest.raises(Gone) as caught:
        retiring.refuse(operation(migration=told), "retired", 0.0)
    assert caught.value.detail == "things.get has been switched off" + ("; use /v2/things/{id}" if told is ENDING else "")


@pytest.mark.parametrize("stage", ["legacy", "modern"])
def test_a_brown_out_says_until_when_and_what_to_use(stage: Stage) -> None:
    with pytest.raises(BrownOut) as caught:
        retiring.refuse(OLD, stage, NOON.timestamp() + 0.5)
    assert caught.value.headers == {"Retry-After": "3600"}
    assert caught.value.detail == (
        "this endpoint is to be switched off on 2027-06-30; this is a scheduled brown-out until 2027-05-01 13:00 UTC; use /v2/things/{id}"
    )


def test_a_brown_out_ends_when_it_says() -> None:
    retiring.refuse(OLD, "legacy", NOON.timestamp() - 0.001)
    retiring.refuse(OLD, "legacy", NOON.timestamp() + 3600)


@pytest.mark.parametrize(("stage", "status"), [("retired", 410), ("legacy", 503)])
def test_a_refusal_is_a_problem_that_announces_the_end_and_asks_nothing(tmp_path: Path, stage: Stage, status: int) -> None:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    back_end = Scripted()
    ask = asked(tmp_path, back_end, operation(migration=replace(ENDING, brown_outs=((now - hour, now + hour),))), stage)
    answer = ask()
    assert (answer.status_code, answer.get_json()["status"], shown(answer)) == (status, status, ANNOUNCED)
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert (ask(Authorization="Bearer x").status_code, back_end.calls) == (401, [])


def test_the_description_says_what_is_deprecated_and_what_it_will_answer() -> None:
    paths = openapi.document(Catalogue({}, {"things.get": OLD}, "hash"), Access())["paths"]
    told = paths["/things/{id}"]["get"]
    assert told["deprecated"] is True
    assert all(set(answer["headers"]) == set(ANNOUNCED) for answer in told["responses"].values())
    assert "410" in told["responses"]
    assert told["responses"]["503"]["description"].endswith("brown-outs on purpose: 2027-05-01T12:00Z/2027-05-01T13:00Z")
    plain = openapi.document(Catalogue({}, {"things.get": operation()}, "hash"), Access())["paths"]["/things/{id}"]["get"]
    assert "deprecated" not in plain
    assert "410" not in plain["responses"]
    assert not any("headers" in answer for answer in plain["responses"].values())
