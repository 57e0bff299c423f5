"""A report of a move is believed as it was signed, and not with one byte changed."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from tests.unit.test_gates import GOOD
from wrapper.migration.report import BadReport, as_html, evidence, fingerprint, public_key, signed, verify

SECRET, OTHER = bytes(range(32)), bytes(32)
DOCUMENT = {
    "endpoint": "accounts.list", "from": "shadow", "to": "canary 1%", "who": "alice", "why": "<script>alert('é')</script>", "second": "",
    "gates": [{"gate": "parity", "met": True, "there": "600 distinct keys agree", "asked": "at least 99%"}], "notes": [], "history": [],
    "evidence": evidence(GOOD),
}  # fmt: skip
TEXT = signed(DOCUMENT, SECRET)


def test_a_report_is_read_as_it_was_signed() -> None:
    document = verify(TEXT, public_key(SECRET))
    assert document == verify(TEXT)
    key = document.pop("key")
    assert document == DOCUMENT
    assert key == {"algorithm": "Ed25519", "public": public_key(SECRET).hex(), "fingerprint": fingerprint(public_key(SECRET))}


def test_no_byte_of_a_report_can_be_changed() -> None:
    for at in range(len(TEXT)):
        for other in {"0" if TEXT[at] != "0" else "1", TEXT[at].swapcase(), " "} - {TEXT[at]}:
            with pytest.raises(BadReport):
                verify(TEXT[:at] + other + TEXT[at + 1 :])


def test_nothing_can_be_added_or_left_out() -> None:
    for text in (
        TEXT + "\n",
        TEXT[:-1],
        TEXT.replace(",", ", ", 1),
        TEXT.replace("{", '{"document":{},', 1),
        "",
        "[]",
        "[" * 100_000,
        "{}",
    ):
        with pytest.raises(BadReport):
            verify(text)


def test_a_report_by_somebody_else_is_refused_where_the_key_is_known() -> None:
    forged = signed(DOCUMENT, OTHER)
    assert verify(forged)["endpoint"] == "accounts.list"
    with pytest.raises(BadReport, match=re.escape(f"expected {fingerprint(public_key(SECRET))}")):
        verify(forged, public_key(SECRET))


def test_evidence_has_counts_and_classes_and_no_samples() -> None:
    told = evidence(GOOD)
    assert told["keys"] == {"compared": 600, "differed": 0, "in the last 24 hours": 240}
    assert told["answers that held"] == {"kind=current": 900, "kind=loan": 3, "status=404": 1}
    assert told["milliseconds"]["legacy"] == {"p50": pytest.approx(60, rel=0.1), "p95": pytest.approx(60, rel=0.1)}
    assert told["not made"] == {"dropped": 20, "unasked": 10}


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.text, self.open = set[str](), "", list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open += [tag] if tag != "meta" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_all_that_the_document_says_and_runs_nothing() -> None:
    page = Page(as_html(TEXT))
    assert page.open == []
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "a"})
    for said in (
        "accounts.list: shadow to canary 1%",
        "<script>alert('é')</script>",
        "at least 99%",
        "kind=loan",
        json.loads(TEXT)["signature"],
        TEXT,
    ):
        assert said in page.text


def test_the_page_begins_with_what_a_reader_looks_for() -> None:
    text = Page(as_html(TEXT)).text.partition("Evidence report")[2]
    places = [text.index(name) for name in ("shadow", "alice", "parity", "600 distinct keys agree", "at least 99%", "kind=loan", "SHA256:")]
    assert places == sorted(places)


def test_no_page_is_made_of_what_is_no_report() -> None:
    with pytest.raises(BadReport):
        as_html("{}")
