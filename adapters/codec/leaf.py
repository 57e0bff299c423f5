"""One elementary field: the pair of closures that read it from a record's bytes and write it there."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from decimal import Context, Decimal, Inexact, InvalidOperation, Rounded
from typing import Any, Literal

from adapters.codec import numeric
from adapters.codec.ebcdic import SPACE, CodePage
from adapters.codec.layout import Field
from adapters.codec.numeric import Unfit

Blank = Literal["SPACES", "LOW-VALUES"]
Read = Callable[[bytes, int], Any]
Write = Callable[[bytearray, int, Any], None]
FILLS = {"SPACES": SPACE, "ZEROS": 0xF0, "LOW-VALUES": 0x00, "HIGH-VALUES": 0xFF}
_EXACT = Context(prec=60, traps=[Inexact, Rounded, InvalidOperation])
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def leaf(field: Field, page: CodePage, blank: Collection[Blank] = ()) -> tuple[Read, Write]:
    """Both raise Unfit. A number that is all one of `blank` reads as None, and None is written as the first of them."""
    if field.picture.kind == "text":
        return _text(field.length, page)
    from_bytes, to_bytes = _integer(field)
    length, scale = field.length, field.picture.scale
    empty = [bytes([FILLS[kind]]) * length for kind in sorted(blank, reverse=True)]

    def read(data: bytes, at: int) -> int | Decimal | None:
        raw = data[at : at + length]
        return None if raw in empty else _scaled(from_bytes(raw), scale)

    def write(out: bytearray, at: int, value: Any) -> None:
        if value is None and not empty:
            raise Unfit("has no value")
        out[at : at + length] = empty[0] if value is None else to_bytes(_unscaled(value, scale))

    return read, write


def _text(length: int, page: CodePage) -> tuple[Read, Write]:
    def read(data: bytes, at: int) -> str:
        try:
            return page.decode(data[at : at + length]).rstrip(" ")
        except UnicodeError:
            raise Unfit(f"a byte is no character of {page.name}") from None

    def write(out: bytearray, at: int, value: Any) -> None:
        if value is not None and not isinstance(value, str):
            raise Unfit(f"expected text, met {type(value).__name__}")
        try:
            raw = page.encode(value or "")
        except UnicodeError:
            raise Unfit(f"a character does not exist in {page.name}") from None
        if len(raw) > length:
            raise Unfit(f"{len(raw)} characters do not fit into {length}")
        out[at : at + length] = raw + bytes([SPACE]) * (length - len(raw))

    return read, write


def _integer(field: Field) -> tuple[Callable[[bytes], int], Callable[[int], bytes]]:
    """The field's bytes <-> the integer without its decimal point."""
    digits, signed, item, length = field.picture.digits, field.picture.signed, field.item, field.length
    match item.usage:
        case "packed":
            return lambda raw: numeric.unpack(raw, digits, signed), lambda n: numeric.pack(n, digits, signed)
        case "binary" | "native":
            most = digits if item.usage == "binary" else None
            return lambda raw: numeric.from_binary(raw, most, signed), lambda n: numeric.to_binary(n, length, most, signed)
    sign: dict[str, bool] = {"signed": signed, "leading": item.leading, "separate": item.separate}
    return lambda raw: numeric.unzone(raw, **sign), lambda n: numeric.zone(n, digits, **sign)


def _scaled(number: int, scale: int) -> int | Decimal:
    if scale <= 0:
        return int(number * 10**-scale)
    return Decimal(number).scaleb(-scale, _EXACT)


def _unscaled(value: Any, scale: int) -> int:
    """An int, a Decimal, or plain decimal text (what a template renders) as the integer to store."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unfit(f"expected a number, met {'text that is none' if isinstance(value, str) else type(value).__name__}")
    number = Decimal(value)
    if not number.is_finite():
        raise Unfit("expected a number, met one that is not finite")
    if number and number.adjusted() + scale > 40:
        raise Unfit("the number has too many digits")
    try:
        stored = number.scaleb(scale, _EXACT)
        if stored == stored.to_integral_value(context=_EXACT):
            return int(stored)
    except (Inexact, InvalidOperation):
        pass
    if scale < 0:
        raise Unfit(f"the number is not a multiple of {10**-scale}")
    raise Unfit(f"the number has more than {scale} digits after the point")
