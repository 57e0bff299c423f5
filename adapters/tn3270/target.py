"""What a catalogue may say about a 3270 system, and what it compiles to. No I/O but the catalogue's own files.

Positions are [row, column] from 1, as a screen is read aloud; texts match exactly where they are placed.

    # screens/acctlist.yaml: one screen; every file of the folder but the logon file is one
    screen: ACCTLIST
    size: 24x80                                   # or 27x132 (needs model 5); 24x80 when left out
    identify:                                     # all must hold before anything is read or typed
      - {at: [1, 2], text: ACLS}
      - {at: [2, 30], text: CUSTOMER ACCOUNTS}
    ready: {at: [24, 2], any: [END OF LIST, MORE]}       # what an answer paints last; left out: identify is enough
    prompt: {at: [24, 2], any: [ENTER CUSTOMER]}         # what an empty form paints last; with it, typing waits for prompt or ready
    reach: {from: MENU, type: {option: "2"}, press: enter}   # the edge that leads here; a list when there are several. Home has none
    leave: pf3                                    # leads back towards home
    again: true                                   # may be asked again where it stands; left out: home after every use
    fields:
      customer: {at: [4, 18], length: 10, input: true}   # at is the first character, not the attribute byte
      message: {at: [24, 2], length: 78}          # also: hidden: true (never read or shown), numeric: true (digits only)
    table:
      rows: [8, 20]                               # first and last screen row
      columns: {account: {at: 4, length: 12}, balance: {at: 40, length: 15}}
      key: account                                # left out: the first column. No key may come twice on the way through the pages
      order: ascending                            # ascending (default), descending or any
      count: total                                # optional: a field that shows how many rows there are in all
      next: pf8
      last_when: {field: message, matches: END OF LIST}   # contained in the field's text

    # screens/logon.yaml: from the connect to home, and what may go wrong on the way (and anywhere)
    home: MENU
    path:                                         # what to do on each screen met before home; {user} and {password} are the credential's
      GREETING: {type: {command: LOGON COREBANK}, press: enter}
      SIGNON: {type: {user: "{user}", password: "{password}"}, press: enter}
    refused: {SIGNON: {message: [PASSWORD NOT VALID, USER REVOKED]}}   # the credential is bad: never tried again
    busy: {SIGNON: {message: [ALREADY SIGNED ON]}}       # this user not now: the next one
    interrupts: {BROADCAST: {press: enter}}       # may appear anywhere and are pressed away
    lost: {ABEND: failed, CLOSED: closed}         # the session is over: failed is a 502, closed a 503
    logoff: {screen: MENU, type: {option: X}, press: enter}

    # legacy block of an endpoint file: an enquiry
    {system: corebank, screen: ACCTLIST, fill: {customer: "{customer_id}"}, press: enter, echo: {customer: "{customer_id}"},
     collect: table, max_pages: 20}               # collect: fields (default) is one record of the screen's fields

    # a write: `find` brings the thing onto the screen (what it types must be shown again), `expect` compares what is there with what
    # the caller saw (on `screen` after `find`, else on the commit screen), `fill` and `press` lead to the commit screen, where `echo`
    # must hold; then `commit.press` is the point of no return, after which some output field must say `confirmed`
    {system: corebank, screen: ADDRCHG, find: {fill: {customer: "{customer_id}"}, press: enter}, expect: {line1: "{if_match.line1}"},
     fill: {line1: "{line1}"}, press: enter, echo: {customer: "{customer_id}", line1: "{line1}"},
     commit: {screen: ADDRCNF, press: pf5, confirmed: ADDRESS UPDATED, ask: customers.get}}

`errors` rules look at the fields of the screen that answers: a rule holds when each of its texts is contained in its field. An answer
that shows its echo fields must echo rightly even when it is an error. Keys: enter, clear, pf1-pf24, pa1-pa3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEY = {"enum": ["enter", "clear", *(f"pf{n}" for n in range(1, 25)), "pa1", "pa2", "pa3"]}
_NAME = {"type": "string", "minLength": 1}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    """A strict JSON Schema object; `required` are names separated by blanks."""
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": properties}


def _map(of: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": of}


SYSTEM: Mapping[str, Any] = _object(
    "host users logon",
    host=_NAME,
    port={"type": ["integer", "string"]},
    tls=_object("", verify={"type": "boolean"}, ca=_NAME),
    model={"enum": [f"{kind}-{n}" for kind in (3278, 3279) for n in range(2, 6)]},
    codepage={"type": "string", "pattern": "^cp[0-9]{3,4}$"},
    users={"type": "array", "minItems": 1, "items": _object("lu credentials", lu=_NAME, credentials=_NAME)},
    sessions=_object(
        "",
        max={"type": "integer", "minimum": 1},
        idle_logoff={"type": "string", "pattern": "^[0-9]+[smh]$"},
        recycle_after={"type": "integer", "minimum": 1},
    ),
    logon=_NAME,
)

TARGET: Mapping[str, Any] = _object(
    "screen",
    screen=_NAME,
    find=_object("fill", fill=_TEXTS, press=_KEY),
    fill=_TEXTS,
    press=_KEY,
    echo=_TEXTS,
    collect={"enum": ["fields", "table"]},
    max_pages={"type": "integer", "minimum": 1},
    expect=_TEXTS,
    commit=_object("screen press", screen=_NAME, press=_KEY, confirmed=_NAME, ask=_NAME),
)

_AT = {"type": "array", "prefixItems": [{"type": "integer", "minimum": 1}] * 2, "minItems": 2, "maxItems": 2}
_STEP = _object("press", type=_TEXTS, press=_KEY)
_SPAN = {"at": {"type": "integer", "minimum": 1}, "length": {"type": "integer", "minimum": 1}}
_ANY = _object("at any", at=_AT, any={"type": "array", "minItems": 1, "items": _NAME})
_EDGE = _object("from press", **{"from": _NAME}, type=_TEXTS, press=_KEY)
_SAID = _map(_map({"type": "array", "minItems": 1, "items": _NAME}))

SCREEN: Mapping[str, Any] = _object(
    "screen identify",
    screen=_NAME,
    size={"enum": ["24x80", "27x132"]},
    identify={"type": "array", "minItems": 1, "items": _object("at text", at=_AT, text=_NAME)},
    ready=_ANY,
    prompt=_ANY,
    reach={"oneOf": [_EDGE, {"type": "array", "items": _EDGE}]},
    leave=_KEY,
    again={"type": "boolean"},
    fields=_map(
        _object(
            "at length",
            at=_AT,
            length=_SPAN["length"],
            input={"type": "boolean"},
            hidden={"type": "boolean"},
            numeric={"type": "boolean"},
        )
    ),
    table=_object(
        "rows columns next last_when",
        rows=_AT,
        columns={**_map(_object("at length", **_SPAN)), "minProperties": 1},
        key=_NAME,
        order={"enum": ["ascending", "descending", "any"]},
        count=_NAME,
        next=_KEY,
        last_when=_object("field matches", field=_NAME, matches=_NAME),
    ),
)

LOGON: Mapping[str, Any] = _object(
    "home path logoff",
    home=_NAME,
    path={**_map(_STEP), "minProperties": 1},
    refused=_SAID,
    busy=_SAID,
    interrupts=_map(_object("press", press=_KEY)),
    lost=_map({"enum": ["failed", "closed"]}),
    logoff=_object("screen press", screen=_NAME, type=_TEXTS, press=_KEY),
)
