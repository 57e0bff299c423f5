"""py3270 as a careful user writes it: what the 3270 rows are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import py3270

FIELDS = ("name", "national_id", "line1", "town", "postcode", "since", "assets", "debt")
_PLACES = ((6, 30), (7, 9), (8, 30), (9, 20), (10, 8), (11, 10), (13, 15), (14, 15))  # row and length; all begin in column 18


def signed_on(env: Mapping[str, str], user: str) -> py3270.Emulator:
    """A terminal at the customer enquiry."""
    name, password = env[f"{user}_LOGIN"].split(":", 1)
    screen = py3270.Emulator(visible=False)
    screen.connect(f"{user}@{env['COREBANK_HOST']}:{env['COREBANK_PORT']}")
    screen.wait_for_field()
    enter(screen, ("COREBANK", 20, 18))
    enter(screen, (name, 8, 18), (password, 9, 18))
    enter(screen, ("1", 18, 18))
    return screen


def enquire(screen: py3270.Emulator, customer: str) -> Sequence[str]:
    """The customer's fields, from one read of the whole screen."""
    enter(screen, (customer, 4, 18))
    rows = [line.decode("latin-1") for line in screen.exec_command(b"Ascii(0,0,24,80)").data]
    return [rows[row - 1][17 : 17 + length].strip() for row, length in _PLACES]


def enter(screen: py3270.Emulator, *typed: tuple[str, int, int]) -> None:
    """Type, press ENTER, and wait until something can be typed again."""
    for text, row, column in typed:
        screen.send_string(text, row, column)
    screen.send_enter()
    screen.wait_for_field()


def sign_off(screen: py3270.Emulator) -> None:
    """Back to the menu, out, and the emulator gone."""
    screen.exec_command(b"PF(3)")
    screen.wait_for_field()
    enter(screen, ("X", 18, 18))
    screen.terminate()
