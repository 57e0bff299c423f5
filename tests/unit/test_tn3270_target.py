"""3270 definitions compile, and what is wrong with them is found, with its file and place and the nearest allowed word."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.base import BadTarget
from adapters.tn3270 import target
from wrapper.catalogue.folder import Folder

CATALOGUE = Folder(Path(__file__).parents[2] / "fixtures" / "catalogue")
SYSTEM = CATALOGUE.yaml("systems.yaml")["systems"]["corebank"]
BLOCKS = {name: CATALOGUE.yaml(f"endpoints/{name}.yaml")["legacy"] for name in ("customers.get", "accounts.list", "customers.move")}
Change = Callable[[dict[str, Any]], Any]


class Changed:
    """The demo catalogue with one of its files changed."""

    def __init__(self, name: str = "", change: Change | None = None) -> None:
        self._name, self._change = name, change

    def path(self, name: str) -> Path:
        return CATALOGUE.path(name)

    def text(self, name: str) -> str:
        return CATALOGUE.text(name)

    def names(self, folder: str, suffix: str) -> Sequence[str]:
        return CATALOGUE.names(folder, suffix)

    def yaml(self, name: str) -> Any:
        value = copy.deepcopy(CATALOGUE.yaml(name))
        if name == self._name and self._change:
            self._change(value)
        return value


def put(*path: str | int, value: Any) -> Change:
    """Set the value at a path."""

    def change(raw: Any) -> None:
        for step in path[:-1]:
            raw = raw[step]
        raw[path[-1]] = value

    return change


def drop(*path: str | int) -> Change:
    def change(raw: Any) -> None:
        for step in path[:-1]:
            raw = raw[step]
        del raw[path[-1]]

    return change


def faults(block: Mapping[str, Any], files: Changed, system: Mapping[str, Any] = SYSTEM) -> list[tuple[str | None, str, str]]:
    with pytest.raises(BadTarget) as met:
        target.compile(block, system, files)
    return [(f.file, "/".join(map(str, f.path)), f.message) for f in met.value.faults]


@pytest.mark.parametrize(
    ("name", "uses", "gives"),
    [
        (
            "customers.get",
            {"customer_id"},
            {"customer", "name", "national_id", "line1", "town", "postcode", "since", "assets", "debt", "message"},
        ),
        ("accounts.list", {"customer_id"}, {"account", "kind", "opened", "balance"}),
        ("customers.move", {"customer_id", "line1", "town", "postcode", "old_line1"}, {"customer", "line1", "town", "postcode", "message"}),
    ],
)
def test_the_demo_blocks_compile(name: str, uses: set[str], gives: set[str]) -> None:
    compiled = target.compile(BLOCKS[name], SYSTEM, Changed())
    assert (compiled.uses, compiled.gives) == (uses, gives)


@pytest.mark.parametrize(
    ("file", "change", "path", "message"),
    [
        ("acctlist", put("reach", "from", value="MENUE"), "reach/from", "unknown screen 'MENUE'; did you mean 'MENU'?"),
        ("acctlist", drop("reach"), "screen", "ACCTLIST can't be reached from home, MENU"),
        ("acctlist", drop("leave"), "screen", "ACCTLIST has no 'leave' key, so no session could come back from it"),
        ("acctlist", put("leave", value="pf25"), "leave", "unknown word 'pf25'; did you mean 'pf5'?"),
        ("acctlist", put("redy", value=1), "redy", "unknown key 'redy'; did you mean 'ready'?"),
        (
            "acctlist",
            put("reach", "type", value={"opton": "2"}),
            "reach/type/opton",
            "unknown field of MENU 'opton'; did you mean 'option'?",
        ),
        (
            "acctlist",
            put("reach", "type", "option", value="{x}"),
            "reach/type/option",
            "'{x}' can't be used here; allowed: fixed text only",
        ),
        ("acctlist", put("fields", "message", "length", value=80), "fields/message", "row 24, columns 2 to 81 are not on a 24x80 screen"),
        (
            "acctlist",
            put("fields", "customer", "at", value=[25, 1]),
            "fields/customer",
            "row 25, columns 1 to 10 are not on a 24x80 screen",
        ),
        ("acctlist", put("fields", "more", value={"at": [4, 20], "length": 3}), "fields/more", "overlaps 'customer'"),
        ("acctlist", put("fields", "customer", "at", value=[0, 1]), "fields/customer/at/0", "0 is less than the minimum of 1"),
        ("acctlist", put("identify", 0, "at", value=[1, 78]), "identify/0/at", "'ACLS' does not fit a 24x80 screen"),
        ("acctlist", put("ready", "at", value=[1, 75]), "ready/at", "does not fit a 24x80 screen"),
        ("acctlist", put("table", "rows", value=[8, 25]), "table/rows", "8 to 25 are not rows of a screen with 24"),
        ("acctlist", put("table", "columns", "balance", "at", value=70), "table/columns/balance", "columns 70 to 84 are past the row's 80"),
        ("acctlist", put("table", "columns", "kind", "at", value=15), "table/columns/kind", "overlaps 'account'"),
        ("acctlist", put("table", "key", value="acount"), "table/key", "unknown column 'acount'; did you mean 'account'?"),
        ("acctlist", put("table", "count", value="total"), "table/count", "unknown field 'total'; allowed: customer, message"),
        (
            "acctlist",
            put("table", "last_when", "field", value="mesage"),
            "table/last_when/field",
            "unknown field 'mesage'; did you mean 'message'?",
        ),
        ("acctlist", put("screen", value="MENU"), "screen", "screen 'MENU' is defined in screens/acctlist.yaml too"),
        ("acctlist", drop("identify"), "", "needs identify"),
        (
            "custinq",
            put("identify", value=[{"at": [1, 2], "text": "ACLS"}, {"at": [2, 30], "text": "CUSTOMER ACCOUNTS"}]),
            "identify",
            "CUSTINQ can't be told from ACCTLIST",
        ),
        ("logon", put("home", value="MENUE"), "home", "unknown screen 'MENUE'; did you mean 'MENU'?"),
        ("logon", put("lost", "ABNED", value="failed"), "lost/ABNED", "unknown screen 'ABNED'; did you mean 'ABEND'?"),
        ("logon", put("lost", "ABEND", value="fail"), "lost/ABEND", "unknown word 'fail'; did you mean 'failed'?"),
        (
            "logon",
            put("path", "SIGNON", "type", "user", value="{usr}"),
            "path/SIGNON/type/user",
            "'{usr}' can't be used here; allowed: password, user",
        ),
        (
            "logon",
            put("refused", "SIGNON", value={"mesage": ["X"]}),
            "refused/SIGNON/mesage",
            "unknown field of SIGNON 'mesage'; did you mean 'message'?",
        ),
        ("logon", put("logoff", "type", value={"message": "X"}), "logoff/type/message", "'message' of MENU is not an input field"),
    ],
)
def test_a_fault_of_a_screen_file_is_found(file: str, change: Change, path: str, message: str) -> None:
    found = faults(BLOCKS["accounts.list"], Changed(f"screens/{file}.yaml", change))
    file = "menu" if message.endswith("acctlist.yaml too") else file
    assert any(f == f"screens/{file}.yaml" and p == path and message in m for f, p, m in found), found


@pytest.mark.parametrize(
    ("name", "change", "path", "message"),
    [
        ("accounts.list", put("screen", value="ACCLIST"), "screen", "unknown screen 'ACCLIST'; did you mean 'ACCTLIST'?"),
        ("accounts.list", put("screen", value="SIGNON"), "screen", "SIGNON can't be reached from home, MENU"),
        (
            "accounts.list",
            put("screen", value="CUSTWIDE"),
            "screen",
            "CUSTWIDE is a 27x132 screen: the system needs a model 5 terminal, not 3279-2",
        ),
        (
            "accounts.list",
            put("fill", value={"custmer": "1"}),
            "fill/custmer",
            "unknown field of ACCTLIST 'custmer'; did you mean 'customer'?",
        ),
        ("accounts.list", put("fill", "message", value="1"), "fill/message", "'message' of ACCTLIST is not an input field"),
        ("accounts.list", put("fill", "customer", value="{customer_id"), "fill/customer", "brace"),
        ("accounts.list", put("echo", value={"name": "{customer_id}"}), "echo/name", "unknown field of ACCTLIST 'name'"),
        ("accounts.list", drop("echo"), "fill", "an ask with a key needs 'echo': the answer must show what was asked for"),
        ("accounts.list", drop("max_pages"), "collect", "a table needs 'max_pages'"),
        ("customers.get", put("collect", value="table"), "collect", "CUSTINQ has no table"),
        (
            "accounts.list",
            put("errors", "busy", "when", value={"mesage": "X"}),
            "errors/busy/when/mesage",
            "unknown field 'mesage'; did you mean 'message'?",
        ),
        ("accounts.list", put("expect", value={"customer": "{x}"}), "expect", "is for writes: it needs 'commit'"),
        ("customers.move", drop("commit", "confirmed"), "commit", "needs 'confirmed'"),
        ("customers.move", put("commit", "screen", value="ADDRCN"), "commit/screen", "unknown screen 'ADDRCN'; did you mean 'ADDRCNF'?"),
        (
            "customers.move",
            put("find", "fill", value={"name": "{customer_id}"}),
            "find/fill/name",
            "'name' of ADDRCHG is not an input field",
        ),
        ("customers.move", put("echo", "name", value="X"), "echo/name", "unknown field of ADDRCNF 'name'"),
        ("customers.move", put("collect", value="table"), "collect", "a write collects no table"),
    ],
)
def test_a_fault_of_a_block_is_found(name: str, change: Change, path: str, message: str) -> None:
    block = copy.deepcopy(BLOCKS[name])
    change(block)
    found = faults(block, Changed())
    assert any(f is None and p == path and message in m for f, p, m in found), found


def test_all_faults_are_told_at_once() -> None:
    block = {**BLOCKS["customers.move"], "fill": {"lin1": "{x}", "town": "{"}, "echo": {}}
    assert {path for _, path, _ in faults(block, Changed())} == {"fill/lin1", "fill/town", "fill"}


def test_a_fault_of_the_system_is_told_in_its_file() -> None:
    assert faults(BLOCKS["customers.get"], Changed(), {**SYSTEM, "codepage": "cp999"}) == [
        ("systems.yaml", "systems/corebank/codepage", "unknown code page 'cp999'")
    ]


def test_the_shortest_way_to_a_screen_is_its_route() -> None:
    graph = target.compile(BLOCKS["customers.move"], SYSTEM, Changed()).graph
    assert [(edge.source, edge.target) for edge in graph.route("ADDRCNF")] == [("MENU", "ADDRCHG"), ("ADDRCHG", "ADDRCNF")]
    assert graph.route("MENU") == graph.route("NOWHERE") == ()
