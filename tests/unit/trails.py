"""Audit trails as tests read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wrapper.audit import lines


def records(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    """All that is on record, writer by writer; of these kinds, when any are named."""
    found = [json.loads(line) for w in lines.writers(folder) for file in lines.segments(w) for line in file.read_bytes().splitlines()]
    return [record for record in found if not kinds or record["kind"] in kinds]
