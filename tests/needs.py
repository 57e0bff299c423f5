"""External programs that tests drive: a missing one skips at home and fails where CI=true."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def program(*names: str) -> str:
    """The path of the first of `names` that is installed (PATH, then /usr/sbin and PostgreSQL's own folders)."""
    folders = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/lib/openssh", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
    for name in names:
        found = shutil.which(name, path=os.pathsep.join(folders))
        if found:
            return found
    return _missing(f"none of {', '.join(names)} is installed")


def file(*patterns: str) -> str:
    """The first file under / that matches one of the glob `patterns` (an ODBC driver, say)."""
    for pattern in patterns:
        for found in sorted(Path("/").glob(pattern.lstrip("/"))):
            return str(found)
    return _missing(f"no file matches {', '.join(patterns)}")


def _missing(message: str) -> str:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
