"""create_app(settings): the parts behind Flask."""

from __future__ import annotations

from flask import Flask, request

from wrapper import admin, http, log, settings
from wrapper.assembly import assemble
from wrapper.edge import Facade
from wrapper.problems import NotReady
from wrapper.settings import Settings


def create_app(given: Settings) -> Flask:
    """The WSGI application. Made in the worker, after the fork: sessions, sockets and threads must not be inherited."""
    log.configure(given.log_level)
    parts = assemble(given, patient=True)
    if parts.telemetry.tracing is not None:
        log.configure(given.log_level, parts.telemetry.tracing.ids)
    parts.open()
    app = Facade("figway")
    http.install(app, parts.service, parts.systems, parts.store, parts.telemetry, parts.access)
    app.extensions["figway"] = parts
    app.extensions["figway.admin"] = admin.create(app, {"/metrics": parts.telemetry.metrics.page})

    @app.before_request
    def _leave() -> None:
        if parts.leaving.is_set() and request.endpoint == "health.ready":
            raise NotReady("the facade is about to stop")

    return app


def from_environment() -> Flask:
    """What gunicorn calls: `wrapper.app:from_environment()`."""
    return create_app(settings.from_environment())
