"""The admin API of migration, under /migration: what `figway migrate` does, for programs, each by its scope. Who moves something is the
name of the key. Decides nothing: what a request may do is in migrating.py and overview.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from wrapper import killing, migrating, overview, subjects
from wrapper.audit.trail import Audit
from wrapper.edge import Reply, as_json, said
from wrapper.migrating import Office, Said
from wrapper.migration import burndown_shown, consumption
from wrapper.policy.keys import Caller, authorise, need
from wrapper.problems import Forbidden, Invalid
from wrapper.service import Service
from wrapper.state.store import Store

READ, SAMPLES, CHANGE, APPROVE, SWEEP = (f"migration:{scope}" for scope in ("read", "samples", "change", "approve", "sweep"))


def blueprint(service: Service, store: Store, caller: Callable[[], Caller]) -> Blueprint:
    """`caller` authenticates the request."""
    office = Office(service.catalogue, store, act=partial(service.audit.act, via="api"))
    api = Blueprint("migration", __name__, url_prefix="/migration")
    _looks(api, office, caller, service.audit)
    _moves(api, office, caller, service.audit)

    @api.post("/<endpoint>/compare")
    def compare(endpoint: str) -> Response:
        """One key, for a sweep: by who may ask this endpoint about it."""
        who = _may(caller(), SWEEP)
        operation = migrating.endpoint(office, endpoint)
        params = said(params=dict).get("params")
        if params is None:
            raise Invalid('the body is like {"params": {"customer_id": "..."}}')
        authorise(operation.auth, who, request.headers.get("Figway-Purpose"))
        loaded = service.load(operation, service.place(operation, params))
        service.authorise_object[operation.name](who, loaded)
        about = service.audit.tokens.of(subjects.of(operation, loaded, who.tenant), make=True)
        with service.audit.act(who.principal, "migrate compare", about=endpoint, subjects=about, via="api"):
            return as_json(service.shadow.compare_now(operation, loaded))

    return api


def _looks(api: Blueprint, office: Office, caller: Callable[[], Caller], audit: Audit) -> None:
    def look(rule: str, name: str, told: Callable[..., Any], scope: str = READ) -> None:
        def view(**path: str) -> Response:
            who = _may(caller(), scope)
            if scope == SAMPLES:  # they hold what customers' answers held
                audit.act(who.principal, f"migrate {name}", about=path["name"], via="api")
            return as_json(told(office, **path))

        api.add_url_rule(rule, name, view, methods=["GET"])

    look("", "status", overview.status)
    look("/history", "all_history", overview.history)
    look("/<name>", "status_of", overview.status)
    look("/<name>/history", "history", overview.history)
    look("/<name>/samples", "samples", overview.samples, SAMPLES)
    look("/<name>/rules", "rules", overview.proposed_rules, SAMPLES)
    look("/callers", "all_callers", lambda office: {"callers": consumption.data(overview.consumers(office))})
    look("/<name>/callers", "callers", lambda office, name: {"callers": consumption.data(overview.consumers(office, name))})
    look("/reconcile", "reconcile", overview.reconcile)

    @api.get("/<endpoint>/report")
    def report(endpoint: str) -> Response:
        """As it was signed: byte by byte."""
        _may(caller(), READ)
        number = request.args.get("number", "")
        if number and not re.fullmatch(r"\d{1,9}", number, re.ASCII):
            raise Invalid("number is that of a move, like 3")
        text = overview.report(office, endpoint, int(number) if number else None)
        return Reply(text.encode(), content_type="application/json")

    @api.get("/burndown")
    def burndown() -> Response:
        _may(caller(), READ)
        told = overview.burned_down(office)
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return Reply(burndown_shown.page(told).encode(), content_type="text/html; charset=utf-8")
        return as_json(burndown_shown.data(told))


def _moves(api: Blueprint, office: Office, caller: Callable[[], Caller], audit: Audit) -> None:
    @api.post("/<endpoint>/promote")
    def promote(endpoint: str) -> Response:
        who = _may(caller(), CHANGE).name
        body = said(to=str, share=str, consumers=dict, ticket=str, why=str)
        wanted = migrating.wish(body.get("to"), body.get("share"), _texts(body.get("consumers")))
        return as_json(migrating.promote(office, endpoint, wanted, Said(who, body.get("ticket", ""), body.get("why", ""))))

    @api.post("/<endpoint>/approve")
    def approve(endpoint: str) -> Response:
        return as_json(migrating.approve(office, endpoint, _may(caller(), APPROVE).name))

    @api.post("/<endpoint>/withdraw")
    def withdraw(endpoint: str) -> Response:
        return as_json(migrating.withdraw(office, endpoint, Said(_may(caller(), CHANGE).name)))

    @api.post("/<endpoint>/rollback")
    def rollback(endpoint: str) -> Response:
        who = _may(caller(), CHANGE).name
        body = said(to=str, why=str, accept_loss=str)
        to = migrating.wish(body.get("to")).to
        return as_json(migrating.rollback(office, endpoint, to, Said(who, why=body.get("why", "")), body.get("accept_loss", "")))

    @api.post("/reconcile/<reference>/retry")
    def retry(reference: str) -> Response:
        return as_json(migrating.retry(office, reference, _may(caller(), CHANGE).name))

    @api.post("/reconcile/<reference>/settle")
    def settle(reference: str) -> Response:
        who = _may(caller(), CHANGE).name
        return as_json(migrating.settle(office, reference, Said(who, why=said(why=str).get("why", ""))))

    @api.post("/reconcile/write-owed")
    def write_owed() -> Response:
        who = _may(caller(), CHANGE).name
        return as_json(migrating.write_owed(office, said(group=str).get("group", ""), who))

    @api.post("/kill")
    @api.post("/<endpoint>/kill")
    def kill(endpoint: str | None = None) -> Response:
        who = _may(caller(), CHANGE).name
        which = killing.named(office.catalogue, endpoint) if endpoint is not None else killing.Named()
        audit.note("act", who=who, what="migrate kill", about=endpoint or "all", via="api")  # nothing holds a kill up
        return as_json(killing.kill(office.store, office.store.folder, which, Said(who, why=said(why=str).get("why", ""))))


def _may(caller: Caller, scope: str) -> Caller:
    need(caller, scope)
    if caller.tenant:
        raise Forbidden("endpoints move for all tenants at once: this is for callers of the installation, who have no tenant")
    return caller


def _texts(shares: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    if shares is not None and not all(isinstance(share, str) for share in shares.values()):
        raise Invalid('consumers must be like {"claims-ui": "100%"}')
    return shares
