"""requirements.lock as a CycloneDX SBOM on standard output: what the image is made of, with the hashes by which it is installed.

make sbom > figway.cdx.json
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.hash.factories import HashTypeFactory
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).parents[1]
_HASH = r"    --hash=sha256:[0-9a-f]{64}(?: \\)?\n"
_PINNED = re.compile(rf"^([a-z0-9._-]+)(?:\[[a-z0-9,_-]+\])?==(\S+)(?: ; [^\\]*)? \\\n((?:{_HASH})+)", re.M | re.I)


def pinned(lock: str) -> list[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 hashes of each requirement. Raises ValueError for a line that is none of them."""
    found = [(name, version, re.findall("[0-9a-f]{64}", hashes)) for name, version, hashes in _PINNED.findall(lock)]
    if len(found) != len(re.findall(r"^[a-z0-9].*==", lock, re.M | re.I)):
        raise ValueError("the lock has a requirement that can't be read")
    return found


def bom(lock: str) -> Bom:
    """All of the lock as parts of Figway."""
    made = Bom()
    made.metadata.component = Component(name="figway", type=ComponentType.APPLICATION)
    parts = [_component(*one) for one in pinned(lock)]
    made.components.update(parts)
    made.register_dependency(made.metadata.component, parts)
    return made


def _component(name: str, version: str, hashes: list[str]) -> Component:
    address = PackageURL("pypi", None, name, version)
    licences = [LicenseFactory().make_from_string(licence)] if (licence := _licence(name)) else []
    digests = [HashTypeFactory().from_hashlib_alg("sha256", digest) for digest in hashes]
    return Component(name=name, version=version, bom_ref=str(address), purl=address, licenses=licences, hashes=digests)


def _licence(name: str) -> str:
    """As the installed package states it, in short; '' where it does not."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    stated = [about.get("License-Expression"), about.get("License")]
    stated += [text.rpartition(" :: ")[2] for text in about.get_all("Classifier", []) if text.startswith("License :: OSI Approved :: ")]
    return next((text for text in stated if text and len(text) < 80 and "\n" not in text), "")


if __name__ == "__main__":
    sys.stdout.write(JsonV1Dot6(bom((ROOT / "requirements.lock").read_text(encoding="utf-8"))).output_as_string(indent=2) + "\n")
