"""The SBOM holds all that the lock installs, by the same hashes."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.live import ROOT


def test_the_sbom_names_each_locked_package_with_its_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    made = json.loads(subprocess.run([sys.executable, "-W", "error", "deploy/sbom.py"], cwd=ROOT, capture_output=True, check=True).stdout)
    told = {(c["name"], c["version"]) for c in made["components"]}
    assert told == set(re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==(\S+)", lock, re.M))
    hashes = {h["content"] for c in made["components"] for h in c["hashes"]}
    assert hashes == set(re.findall("--hash=sha256:([0-9a-f]{64})", lock))
    assert [d["ref"] for d in made["dependencies"] if len(d.get("dependsOn", ())) == len(told)]
