"""Dates as a back end is sent them."""

from __future__ import annotations

from datetime import date

import pytest

from adapters.template import as_text


@pytest.mark.parametrize(
    "layout, text",
    [("yyyymmdd", "00010203"), ("ddmmyyyy", "03020001"), ("yyyyddd", "0001034"), ("iso", "0001-02-03"), ("yymmdd", "010203")],
)
def test_an_early_year_keeps_its_zeros(layout: str, text: str) -> None:
    assert as_text(date(1, 2, 3), layout) == text
