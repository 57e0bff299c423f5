"""SQL as far as the facade must understand it: where values go, what the columns are called, whether it reads.

A tokenizer and a look at the outermost level, not a parser: what can't be told safely is refused with a sentence that says how to write
it. Values never enter the text: `:name` becomes the driver's `?`, outside of literals, quoted names and casts (`::`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(
    r"""(?P<string>'(?:[^']|'')*') | (?P<quoted>"(?:[^"]|"")*") | (?P<comment>--[^\n]* | /\*.*?\*/) | (?P<cast>::)
      | :(?P<param>[A-Za-z_]\w*) | (?P<word>[A-Za-z_][\w$]*) | (?P<number>\d[\w.]*) | (?P<space>\s+) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_AFTER_ITEMS = {"WHERE", "GROUP", "HAVING", "UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "OFFSET", "FETCH", "WINDOW"}
_LIMITS = {"LIMIT", "OFFSET", "FETCH", "TOP"}
_WRITES = {"INSERT", "UPDATE", "DELETE"}
AFTER = "after"


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` with a `?` for each of `params`, in order; `names` of the result's columns, none for a write.

    `ordered_by` are the names of the columns that the first ORDER BY term means.
    """

    text: str
    params: tuple[str, ...]
    names: tuple[str, ...]
    writes: bool = False
    limited: bool = False
    ordered_by: tuple[str, ...] = ()
    descending: bool = False


class BadSql(Exception):
    """A statement that is refused, with all the reasons."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    depth: int

    def word(self) -> str:
        return self.text.upper() if self.kind == "word" else ""


def parse(sql: str) -> Statement:
    """Raises BadSql."""
    tokens = list(_tokens(sql))
    reasons = _unsafe(tokens)
    solid = [t for t in tokens if t.kind not in ("space", "comment")]
    top = [t for t in solid if t.depth == 0]
    first = solid[0].word() if solid else ""
    if first not in {"SELECT", "WITH", *_WRITES}:
        reasons.append("a statement starts with SELECT, WITH, INSERT, UPDATE or DELETE")
    if first == "WITH" and any(t.word() in _WRITES for t in top):
        reasons.append("a WITH that writes: begin with INSERT, UPDATE or DELETE, or ask in an endpoint of its own")
    text = "".join({"comment": " ", "param": "?"}.get(t.kind, t.text) for t in tokens).strip()
    params = tuple(t.text for t in solid if t.kind == "param")
    if reasons:
        raise BadSql(reasons)
    if first in _WRITES:
        return Statement(text, params, (), writes=True)
    items = _items(solid)
    names = [_name(item, reasons) for item in items]
    reasons += [f"two columns are called {name}" for name, count in Counter(names).items() if count > 1 and name]
    if reasons:
        raise BadSql(reasons)
    term, descending = _order(top)
    ordered_by = tuple(n for n, item in zip(names, items, strict=True) if term and term in (_key(n), _plain(item), _plain(item[:-2])))
    return Statement(text, params, tuple(names), False, any(t.word() in _LIMITS for t in top), ordered_by, descending)


def _tokens(sql: str) -> list[_Token]:
    tokens, depth = [], 0
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "other"
        depth -= match[0] in (")", "]")
        tokens.append(_Token(kind, match[kind], depth))
        depth += match[0] in ("(", "[")
    return tokens


def _unsafe(tokens: list[_Token]) -> list[str]:
    """What would make drivers, servers and this file read the text differently."""
    reasons = []
    for token in tokens:
        match token.kind, token.text:
            case "other", "'" | '"':
                reasons.append(f"a {token.text} is never closed")
            case "other", ";":
                reasons.append("one statement, without a ';'")
            case "other", "?":
                reasons.append("write a value as :name, not as ?")
            case "other", "$":
                reasons.append("no $-quoted text and no $1: pass a value as :name")
            case "string", text if "\\" in text:
                reasons.append("databases read a backslash in a literal differently: pass the value as :name")
            case "comment", text if "/*" in text[2:] and text.startswith("/*"):
                reasons.append("no comment inside of a comment")
    pairs = pairwise(tokens)
    if any(a.text == "/" and b.text == "*" for a, b in pairs):
        reasons.append("a /* is never closed")
    texts = [t.text for t in tokens if t.kind == "other"]
    if texts.count("(") != texts.count(")") or any(t.depth < 0 for t in tokens):
        reasons.append("the parentheses do not match")
    return list(dict.fromkeys(reasons))


def _items(solid: list[_Token]) -> list[list[_Token]]:
    """The select list of the outermost (first) SELECT, item by item."""
    start = next((n for n, t in enumerate(solid) if t.depth == 0 and t.word() == "SELECT"), len(solid))
    items: list[list[_Token]] = [[]]
    previous = ""
    for token in solid[start + 1 :]:
        outer = token.depth == 0
        if outer and (token.word() in _AFTER_ITEMS or (token.word() == "FROM" and previous != "DISTINCT")):
            break
        previous = token.word()
        if outer and token.text == ",":
            items.append([])
        elif not (outer and previous in {"DISTINCT", "ALL"} and items == [[]]):
            items[-1].append(token)
    return items


def _name(item: list[_Token], reasons: list[str]) -> str:
    """What a column is called: after AS, or a plain column's own name."""
    written = " ".join(t.text for t in item)
    if not item or item[-1].text == "*":
        reasons.append("name the columns instead of '*': a new column must not change the answer")
    elif (len(item) > 1 and item[-2].word() == "AS" and item[-1].kind in ("word", "quoted")) or _is_column(item):
        return item[-1].text.strip('"')
    else:
        reasons.append(f"give the column '{written}' a name: {written} AS name")
    return ""


def _is_column(item: list[_Token]) -> bool:
    """`amount`, `e.amount`"""
    return all(t.kind in ("word", "quoted") if n % 2 == 0 else t.text == "." for n, t in enumerate(item)) and len(item) % 2 == 1


def _order(top: list[_Token]) -> tuple[str, bool]:
    """The first term of the outermost ORDER BY, in capitals ('' when there is none), and whether it descends."""
    starts = [n for n, (a, b) in enumerate(pairwise(top)) if (a.word(), b.word()) == ("ORDER", "BY")]
    if not starts:
        return "", False
    term: list[_Token] = []
    for token in top[starts[-1] + 2 :]:
        if token.text == "," or token.word() in {"ASC", "DESC", "NULLS", *_LIMITS}:
            return _plain(term), token.word() == "DESC"
        term.append(token)
    return _plain(term), False


def _plain(tokens: list[_Token]) -> str:
    return "".join(_key(t.text) for t in tokens)


def _key(text: str) -> str:
    return text.strip('"').upper()
