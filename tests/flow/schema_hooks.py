"""What schemathesis can't know from the description: that each write needs an Idempotency-Key of its own, as no JSON Schema can say."""

from __future__ import annotations

import uuid
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """Headers that are wrong on purpose stay as they are."""
    if KEY in case.headers and not (case.meta and case.meta.is_negative_at(ParameterLocation.HEADER)):
        case.headers[KEY] = uuid.uuid4().hex
