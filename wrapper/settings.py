"""The environment, read once: the only module that looks at os.environ.

Catalogue files hold references (`env:NAME`, `file:/run/secrets/name`, `vault:name`), never hosts or secrets; `resolve` turns a system's
block into plain strings for its adapter. A value that came from a reference never appears in an error: only its reference does.
"""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wrapper import functions

VAULT_WAIT = 5.0
NAMES = (
    "catalogue", "state", "state_key", "models", "threads", "server", "workers", "replicas", "bind", "admin_bind",
    "drain", "patience", "log_level", "otlp_endpoint", "audit", "audit_key", "audit_anchor",
    "tls_cert", "tls_key", "tls_client_ca", "tls_client",
)  # fmt: skip
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or onnxruntime keeps a data base in the home folder, to report to its maker
METRICS = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own name: it reads it when it is imported


class BadSettings(Exception):
    """A setting or a reference that can't be used; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a Figway process is told from outside. `environ` is for resolving references only and prints as ***."""

    catalogue: Path
    state: str = field(repr=False)  # its URL may hold a password
    models: Path
    threads: int = 32
    server: str = "gunicorn"
    workers: int = 1
    replicas: int = 1
    bind: str = "127.0.0.1:8080"
    admin_bind: str = ""
    drain: int = 1
    patience: int = 10  # seconds that a caller has for a body or for taking an answer; half of it for a head
    log_level: str = "info"
    otlp_endpoint: str = ""
    tls_cert: Path | None = None  # with those below it in its chain; TLS is spoken when there is one
    tls_key: Path | None = None
    tls_client_ca: Path | None = None  # then callers are asked for a certificate
    tls_client: str = "optional"
    packages: tuple[str, ...] = ()
    state_key: Path | None = None  # beside the store, where that is a file; else .figway/state.key
    audit: Path | None = None  # beside the store
    audit_key: Path | None = None  # what anchors are signed with
    audit_anchor: Path | None = None  # a file elsewhere, append-only
    metrics: Path | None = None  # shared by the processes of one `figway serve`
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


def from_environment(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """FIGWAY_* variables, overridden by `given` (command-line options; None is not given). Raises BadSettings."""
    env = dict(os.environ if environ is None else environ)
    read = {name: env.get(f"FIGWAY_{name.upper()}") for name in NAMES}
    said = {k: v for k, v in {**read, **{k: v for k, v in given.items() if v is not None}}.items() if v not in (None, "")}
    if "catalogue" not in said:
        raise BadSettings("no catalogue: give --catalogue DIR or set FIGWAY_CATALOGUE")
    _check_tls(said)
    folder = Path(os.path.abspath(said["catalogue"]))  # a link stays one: at HUP it may lead elsewhere
    return Settings(
        catalogue=folder,
        state=_state(resolve(str(said.get("state", f"sqlite:///{Path.cwd() / '.figway' / 'state.sqlite'}")), env, "state")),
        state_key=_file(said, "state_key"),
        audit=_file(said, "audit"),
        audit_key=_file(said, "audit_key"),
        audit_anchor=_file(said, "audit_anchor"),
        models=Path(said["models"]).resolve() if "models" in said else models_beside(folder),
        threads=_number("threads", said.get("threads", 32), 10, 256),
        server=_one_of("server", str(said.get("server", "gunicorn")), "gunicorn", "granian"),
        workers=_number("workers", said.get("workers", 1), 1, 64),
        replicas=_number("replicas", said.get("replicas", 1), 1, 1000),
        bind=_bind("bind", str(said.get("bind", "127.0.0.1:8080"))),
        admin_bind=_bind("admin_bind", str(said["admin_bind"])) if "admin_bind" in said else "",
        drain=_number("drain", said.get("drain", 1), 0, 300),
        patience=_number("patience", said.get("patience", 10), 1, 300),
        log_level=_one_of("log_level", str(said.get("log_level", "info")).lower(), "debug", "info", "warning", "error"),
        otlp_endpoint=_collector(str(said.get("otlp_endpoint", env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")))),
        packages=_packages(env),
        tls_cert=_file(said, "tls_cert"),
        tls_key=_file(said, "tls_key"),
        tls_client_ca=_file(said, "tls_client_ca"),
        tls_client=_one_of("tls_client", str(said.get("tls_client", "optional")), "optional", "required"),
        metrics=Path(env[METRICS]) if env.get(METRICS) else None,
        environ=env,
    )


def models_beside(catalogue: Path) -> Path:
    """Where models are looked for when nobody says: `models/` in the catalogue, else next to it."""
    inside = catalogue / "models"
    return inside if inside.is_dir() else catalogue.parent / "models"


def as_environment(settings: Settings) -> dict[str, str]:
    """The environment for a child process that is to see the same settings."""
    ours = {METRICS, *(f"FIGWAY_{n.upper()}" for n in NAMES)}  # what is None here is not said there
    inherited = {name: value for name, value in settings.environ.items() if name not in ours}
    shared = {METRICS: str(settings.metrics)} if settings.metrics is not None else {}
    said = {f"FIGWAY_{n.upper()}": str(value) for n in NAMES if (value := getattr(settings, n)) is not None}
    return {**inherited, **said, **shared}


def address(bind: str, name: str = "bind") -> tuple[str, int]:
    """Host and port of HOST:PORT or [IPV6]:PORT. Raises BadSettings."""
    host, colon, port = bind.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535 or (":" in bare and bare == host):
        raise BadSettings(f"{name} must be HOST:PORT, like 127.0.0.1:8080, met {bind!r}")
    return bare, int(port)


def resolve(value: Any, environ: Mapping[str, str], where: str) -> Any:
    """A block with every `env:`, `file:` and `vault:` reference replaced by what it refers to now. Raises BadSettings with its name."""
    match value:
        case str() if value.startswith("env:"):
            name = value[4:]
            if not environ.get(name):
                raise BadSettings(f"{where}: the environment variable {name} is not set")
            return environ[name]
        case str() if value.startswith("file:"):
            return _secret_file(value[5:], where)
        case str() if value.startswith("vault:"):
            return from_vault(value[6:], environ, where)
        case Mapping():
            return {k: resolve(v, environ, f"{where}.{k}") for k, v in value.items()}
        case list() | tuple():
            return [resolve(v, environ, f"{where}[{n}]") for n, v in enumerate(value)]
    return value


def _secret_file(name: str, where: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{where}: the file {name} can't be read ({type(error).__name__})") from None


def from_vault(name: str, environ: Mapping[str, str], where: str, within: float = VAULT_WAIT) -> str:
    """What FIGWAY_VAULT's function says. It may be slow: it is asked on a thread that is left behind. Raises BadSettings."""
    answer: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()
    reference, packages = environ.get("FIGWAY_VAULT", ""), _packages(environ)

    def ask() -> None:
        try:
            answer.put(str(functions.find(reference, packages, functions.VAULT)(name)))
        except Exception as error:  # noqa: BLE001 - another's code
            answer.put(error)

    if not reference:
        raise BadSettings(f"{where}: vault:{name} needs FIGWAY_VAULT, the function that reads it, like py:acme.vault.read")
    threading.Thread(target=ask, name="figway-vault", daemon=True).start()
    try:
        told = answer.get(timeout=within)
    except queue.Empty:
        raise BadSettings(f"{where}: the vault did not give {name} within {within:g} s") from None
    if isinstance(told, Exception):
        why = str(told) if isinstance(told, ValueError) and reference in str(told) else type(told).__name__
        raise BadSettings(f"{where}: the vault does not give {name} ({why})") from None
    return told


def _packages(environ: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(p for p in environ.get("FIGWAY_PACKAGES", "").split(",") if p)


def _bind(name: str, value: str) -> str:
    address(value, name)
    return value


def _file(said: Mapping[str, Any], name: str) -> Path | None:
    return Path(said[name]).absolute() if name in said else None


def _check_tls(said: Mapping[str, Any]) -> None:
    """Half of it would be none of it, unnoticed."""
    for name, needed in (
        ("tls_cert", "tls_key"), ("tls_key", "tls_cert"), ("tls_client_ca", "tls_cert"), ("tls_client", "tls_client_ca"),
    ):  # fmt: skip
        if name in said and needed not in said and said[name] != "optional":
            raise BadSettings(f"{name} needs {needed}: set FIGWAY_{needed.upper()}")


def _state(value: str) -> str:
    """Whether it is there is not judged here. Not a word of a URL that can't be read is shown: it may be the password."""
    if value.startswith("postgresql://"):
        return value
    if not value.startswith("sqlite:///") or Path(value.removeprefix("sqlite:///")).name in ("", ":memory:"):
        raise BadSettings(
            f"state must be sqlite:///PATH, the path of a file, or postgresql://USER@HOST/DATABASE, met {value.partition(':')[0]}:..."
        )
    return value


def _collector(value: str) -> str:
    """The base address of an OTLP/HTTP collector; empty is no tracing."""
    if value and not re.fullmatch(r"https?://[^\s/?#@]+[^\s?#@]*", value):
        raise BadSettings("otlp_endpoint must be an address like http://collector:4318, without a user or a query")
    return value


def _number(name: str, value: Any, low: int, high: int) -> int:
    try:
        number = int(value)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise BadSettings(f"{name} must be a whole number from {low} to {high}, met {value!r}")
    return number


def _one_of(name: str, value: str, *known: str) -> str:
    if value not in known:
        raise BadSettings(f"{name} must be one of {', '.join(known)}, met {value!r}")
    return value
