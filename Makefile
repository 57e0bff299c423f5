# One-line targets for developers. What they need is set up by ./figway.
.PHONY: setup check test demo bench attack chaos soak kills lus quota dual schema audit sbom tamper lock
LOCK = .venv/bin/uv pip compile pyproject.toml --quiet --no-cache --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" $(ARGS)

setup: ; ./figway setup test
check: ; ./figway lint
test: ; ./figway test $(ARGS)
demo: ; ./figway demo $(ARGS)
bench: setup ; .venv/bin/python -m tests.bench $(ARGS)
attack: setup ; .venv/bin/python -m tests.attack $(ARGS)
chaos: setup ; .venv/bin/python -m tests.chaos $(ARGS)
soak: setup ; .venv/bin/python -m tests.chaos.soak $(ARGS)
kills: setup ; .venv/bin/python -m tests.chaos.kills $(ARGS)
lus: setup ; .venv/bin/python -m tests.chaos.lus $(ARGS)
quota: setup ; .venv/bin/python -m tests.chaos.quota $(ARGS)
dual: setup ; .venv/bin/python -m tests.chaos.dual $(ARGS)
tamper: setup ; .venv/bin/python -m tests.audit.tamper $(ARGS)
# Known weaknesses of what is locked, by the advisories of PyPI: it has to reach them, and what could not be looked up fails it.
audit: setup ; .venv/bin/pip-audit -r requirements.lock --disable-pip --no-deps --strict --progress-spinner off $(ARGS)
sbom: ; @./figway setup test >&2 && .venv/bin/python deploy/sbom.py
schema: setup ; SCHEMA_ARGS="--max-examples 50 $(ARGS)" .venv/bin/python -m pytest tests/flow/test_schema.py -n 0 --timeout 900
# Keeps every version that still fits; `make lock ARGS=--upgrade` takes the newest.
lock: ; $(LOCK) --extra demo --extra granian --extra build -o requirements.lock && $(LOCK) --extra demo --extra granian --extra build --extra dev -c requirements.lock -o tests/requirements.lock
