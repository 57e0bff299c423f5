"""Numeric forms of COBOL: zoned, packed (COMP-3) and binary, as integers without their decimal point.

Every nibble is checked. Signs are those of IBM's NUMCLS(PRIM): C and F are plus, D is minus; an unsigned zoned number has F only,
an unsigned packed one F or C. Anything else is Unfit: a reason without the value, for the caller to put a place to.
"""

from __future__ import annotations

_DIGITS = bytes(ord("0") + b - 0xF0 if 0xF0 <= b <= 0xF9 else ord("?") for b in range(256))
_PLUS, _MINUS = 0x4E, 0x60  # '+' and '-' in every EBCDIC code page


class Unfit(ValueError):
    """Bytes that are no such number, or a number that does not fit; says why, never what."""


def unpack(raw: bytes, digits: int, signed: bool) -> int:
    """Packed decimal: two digits a byte, the sign in the last nibble; an even number of digits leaves the first nibble zero."""
    text = raw.hex()
    body, sign = text[:-1], text[-1]
    if not body.isdigit():
        raise Unfit("a nibble of the packed number is not a digit")
    if sign not in ("cdf" if signed else "cf"):
        raise Unfit("the packed number has no valid sign")
    if len(body) > digits and body[0] != "0":
        raise Unfit(f"the packed number has more than its {digits} digits")
    return -int(body) if sign == "d" else int(body)


def pack(number: int, digits: int, signed: bool) -> bytes:
    """The preferred signs: C and D, or F when unsigned."""
    body = _text(number, digits, signed)
    sign = "f" if not signed else "d" if number < 0 else "c"
    return bytes.fromhex(("" if digits % 2 else "0") + body + sign)


def unzone(raw: bytes, *, signed: bool, leading: bool = False, separate: bool = False) -> int:
    """Zoned decimal: a digit a byte; the sign in the zone of the last (or first) byte, or in a byte of its own."""
    if signed and separate:
        mark, body = (raw[0], raw[1:]) if leading else (raw[-1], raw[:-1])
        if mark not in (_PLUS, _MINUS):
            raise Unfit("the separate sign is neither + nor -")
        minus = mark == _MINUS
    elif signed:
        at = 0 if leading else len(raw) - 1
        zone = raw[at] & 0xF0
        if zone not in (0xC0, 0xD0, 0xF0):
            raise Unfit("the zoned number has no valid sign")
        minus, body = zone == 0xD0, raw[:at] + bytes([raw[at] | 0xF0]) + raw[at + 1 :]
    else:
        minus, body = False, raw
    text = body.translate(_DIGITS)
    if not text.isdigit():
        raise Unfit("a byte of the zoned number is not a digit")
    return -int(text) if minus else int(text)


def zone(number: int, digits: int, *, signed: bool, leading: bool = False, separate: bool = False) -> bytes:
    """The preferred signs: zones C and D, F when unsigned."""
    body = bytes(0xC0 + ord(c) for c in _text(number, digits, signed))  # '0' is 0x30, and 0xC0 + 0x30 is 0xF0
    if not signed:
        return body
    if separate:
        mark = bytes([_MINUS if number < 0 else _PLUS])
        return mark + body if leading else body + mark
    mask = 0xDF if number < 0 else 0xCF
    return bytes([body[0] & mask]) + body[1:] if leading else body[:-1] + bytes([body[-1] & mask])


def from_binary(raw: bytes, digits: int | None, signed: bool) -> int:
    """Big-endian two's complement. `digits` bounds it as the picture does (TRUNC(STD)); None is COMP-5, bounded by its bytes only."""
    number = int.from_bytes(raw, "big", signed=signed)
    if digits is not None and abs(number) >= 10**digits:
        raise Unfit(f"the binary number has more than its {digits} digits")
    return number


def to_binary(number: int, length: int, digits: int | None, signed: bool) -> bytes:
    if digits is not None:
        _text(number, digits, signed)
    try:
        return number.to_bytes(length, "big", signed=signed)
    except OverflowError:
        raise Unfit(f"the number does not fit into {length} {'signed' if signed else 'unsigned'} bytes") from None


def _text(number: int, digits: int, signed: bool) -> str:
    if number < 0 and not signed:
        raise Unfit("the number is negative and the field has no sign")
    if abs(number) >= 10**digits:
        raise Unfit(f"the number has more than {digits} digits")
    return f"{abs(number):0{digits}d}"
