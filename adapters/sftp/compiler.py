"""Compiles an `sftp` block, collecting every fault with its place and the nearest name of the copybook."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from adapters.base import BadTarget, Fault, Files
from adapters.blocks import instead, seconds
from adapters.codec import copybook, layout
from adapters.codec.ebcdic import CODEPAGES
from adapters.codec.layout import Field
from adapters.codec.record import RecordCodec, compile_record
from adapters.codec.source import CopybookError
from adapters.errors import ErrorRule, rules
from adapters.sftp.compiled import DropTarget, Edge, ExtractTarget, ReplyFile
from adapters.sftp.drop import Drop, Form, Total
from adapters.template import Template, parse

_TOTAL = re.compile(r"(?:count\(([a-z_][a-z0-9_]*)\)|sum\(([a-z_][a-z0-9_]*)\.([a-z_][a-z0-9_]*)\))")
_OURS = frozenset({"batch_id", "sequence"})
Place = tuple[str, ...]


class Compiler:
    """One block. Methods return None where `faults` has grown instead."""

    def __init__(self, block: Mapping[str, Any], files: Files) -> None:
        self.faults: list[Fault] = []
        self._block, self._files = block, files

    def target(self) -> DropTarget | ExtractTarget | None:
        block = self._block
        if ("extract" in block) == ("drop" in block) or ("drop" in block) != ("reply" in block):
            self._fault((), "expected either `drop` with `reply`, or `extract`")
            return None
        return self._extract(block["extract"]) if "extract" in block else self._drop(block["drop"], block["reply"])

    def _drop(self, drop: Mapping[str, Any], reply: Mapping[str, Any]) -> DropTarget | None:
        path = self._path(("drop", "path"), drop["path"])
        each = drop.get("each")
        record = self._form(("drop",), drop, drop, each)
        trailer = self._form(("drop", "trailer"), drop["trailer"], drop, each) if "trailer" in drop else None
        self._same_length(record, trailer, ("drop", "trailer", "copybook"))
        answer = self._reply(reply, drop["codepage"])
        if path is None or record is None or answer is None or ("trailer" in drop and trailer is None):
            return None
        publish = drop["publish"]
        inner, outer = _holes(record.map), _holes(trailer.map) if trailer else frozenset[str]()
        if each is not None:
            outer |= {each}
        else:
            inner, outer = frozenset(), inner | outer
        compiled = Drop(path, record, each, inner - _OURS, trailer, publish["write_as"], publish.get("done_file", ""))
        return DropTarget(compiled, answer, self._errors(answer.codec), outer - _OURS)

    def _reply(self, reply: Mapping[str, Any], codepage: str) -> ReplyFile | None:
        codec = self._codec(("reply",), reply, {"codepage": codepage, **reply}, self._blanks())
        path = self._path(("reply", "path"), reply["path"])
        echo = {name: self._template(("reply", "echo", name), text) for name, text in reply.get("echo", {}).items()}
        if codec is None or path is None:
            return None
        for name, template in echo.items():
            self._known(("reply", "echo", name), name, _names(codec))
            if template is not None and template.uses - {"batch_id"}:
                self._fault(("reply", "echo", name), "only {batch_id} is known when a reply is read")
        kept = {name: template for name, template in echo.items() if template is not None}
        within = seconds(reply["expect_within"])
        return ReplyFile(path, codec, reply.get("done_file", ".OK"), kept, within, reply.get("archive", ""))

    def _extract(self, extract: Mapping[str, Any]) -> ExtractTarget | None:
        codec = self._codec(("extract",), extract, extract, self._blanks())
        header = self._edge("header", extract, "as_of")
        trailer = self._edge("trailer", extract, "count")
        (key, text), *_ = extract["key"].items()
        wanted = self._template(("extract", "key", key), text)
        if "{" in extract["path"]:
            self._fault(("extract", "path"), "the path of an extract has no parameters")
        if codec is None or wanted is None:
            return None
        self._same_length(Edge(codec, None), header, ("extract", "header", "copybook"))
        self._same_length(Edge(codec, None), trailer, ("extract", "trailer", "copybook"))
        if self._known(("extract", "key", key), key, _names(codec)) and not _plain_key(codec, key):
            self._fault(
                ("extract", "key", key), "a key is a text or an unsigned zoned number: its bytes must be the only ones for its value"
            )
        done = extract.get("done_file", ".OK") if "ready_when" in extract else ""
        return ExtractTarget(extract["path"], codec, key, wanted, done, header, trailer, self._errors(codec))

    def _edge(self, name: str, extract: Mapping[str, Any], field: str) -> Edge | None:
        if name not in extract:
            return None
        codec = self._codec(("extract", name), extract[name], extract, {})
        wanted = extract[name].get(field)
        if codec is None or (wanted is not None and not self._known(("extract", name, field), wanted, _names(codec))):
            return None
        return Edge(codec, wanted)

    def _form(self, place: Place, block: Mapping[str, Any], drop: Mapping[str, Any], each: str | None) -> Form | None:
        """A record to be written: every field is mapped, constant or FILLER, and nothing else is."""
        codec = self._codec(place, block, drop, {})
        if codec is None:
            return None
        sources: dict[str, Template | Total] = {}
        for name, text in block["map"].items():
            here = (*place, "map", name)
            source = self._source(here, text, each if place != ("drop",) else None)
            if self._known(here, name, _names(codec)) and source is not None:
                self._fits(here, codec, name, source)
                sources[name] = source
        for part in codec.layout.parts:
            if part.name and part.name not in block["map"] and part.name not in codec.constants:
                self._fault((*place, "map"), f"{part.name} has no value: map it, or give it a VALUE in the copybook")
        texts = frozenset(part.name for part in codec.layout.parts if isinstance(part, Field) and part.picture.kind == "text")
        return Form(codec, sources, texts)

    def _fits(self, place: Place, codec: RecordCodec, name: str, source: Template | Total) -> None:
        part = next(part for part in codec.layout.parts if part.name == name)
        if not isinstance(part, Field) or part.count is not None:
            self._fault(place, f"{name} OCCURS several times and can't be mapped")
        elif isinstance(source, Total) and part.picture.kind == "text":
            self._fault(place, f"{name} is a text and can't hold a total")
        elif isinstance(source, Template) and source.uses <= {"batch_id"}:
            try:
                codec.field_bytes(name, source.render({"batch_id": "A" * 12}))
            except ValueError as bad:
                self._fault(place, str(bad))

    def _source(self, place: Place, text: str, each: str | None) -> Template | Total | None:
        total = _TOTAL.fullmatch(text)
        if total is None:
            return self._template(place, text)
        name = total[1] or total[2]
        if name != each:
            self._fault(place, f"'{name}' is not the list of this drop's trailer" + (f"; allowed: {each}" if each else ""))
            return None
        return Total(name, total[3])

    def _codec(
        self, place: Place, form: Mapping[str, Any], file: Mapping[str, Any], blanks: Mapping[str, Collection[Any]]
    ) -> RecordCodec | None:
        page = file["codepage"]
        if page not in CODEPAGES:
            self._fault((place[0], "codepage"), f"'{page}' is not a code page" + instead(page, CODEPAGES))
            return None
        try:
            shape = layout.lay_out(copybook.parse(self._files.text(form["copybook"])), form.get("views", ()))
            names = {part.name for part in shape.parts if isinstance(part, Field) and part.picture.kind == "number"}
            return compile_record(shape, page, {name: kinds for name, kinds in blanks.items() if name in names})
        except BadTarget as bad:
            self.faults += [Fault((*place, "copybook"), fault.message) for fault in bad.faults]
        except CopybookError as bad:
            self.faults.append(Fault((bad.line,), bad.message, form["copybook"]))
        except ValueError as bad:
            self._fault((*place, "copybook"), str(bad))
        return None

    def _blanks(self) -> Mapping[str, Collection[str]]:
        """Fields whose read rule says that they may be blank."""
        rules = [(name, rule) for name, rule in self._block.get("read", {}).items() if isinstance(rule, Mapping)]
        met = {str(rule.get("raw", name)): {"SPACES", "LOW-VALUES"} & set(map(str, rule.get("none_when", ()))) for name, rule in rules}
        return {name: kinds for name, kinds in met.items() if kinds}

    def _errors(self, codec: RecordCodec) -> tuple[ErrorRule, ...]:
        found = rules(self._block)
        for rule in found:
            for field in rule.when:
                self._known(("errors", rule.name, "when", field), field, _names(codec))
        return found

    def _path(self, place: Place, text: str) -> Template | None:
        """A path with {batch_id} in its file name and nothing else that varies."""
        template = self._template(place, text)
        if template is not None and (template.uses != {"batch_id"} or "{" in text.rpartition("/")[0]):
            self._fault(place, "expected {batch_id} in the file name, and nothing else that varies")
            return None
        return template

    def _template(self, place: Place, text: str) -> Template | None:
        try:
            return parse(text)
        except ValueError as bad:
            self._fault(place, str(bad))
            return None

    def _known(self, place: Place, name: str, names: Collection[str]) -> bool:
        if name not in names:
            self._fault(place, f"the copybook has no field '{name}'" + instead(name, names))
        return name in names

    def _same_length(self, one: Form | Edge | None, other: Form | Edge | None, place: Place) -> None:
        if one is not None and other is not None and one.codec.length != other.codec.length:
            self._fault(place, f"records of format fixed are all {one.codec.length} bytes long, this one is {other.codec.length}")

    def _fault(self, place: Place, message: str) -> None:
        self.faults.append(Fault(place, message))


def _names(codec: RecordCodec) -> tuple[str, ...]:
    return tuple(part.name for part in codec.layout.parts if part.name)


def _holes(sources: Mapping[str, Template | Total]) -> frozenset[str]:
    """Parameters that these templates name; totals name the list, which is used anyhow."""
    return frozenset(name for source in sources.values() if isinstance(source, Template) for name in source.uses)


def _plain_key(codec: RecordCodec, name: str) -> bool:
    part = next(part for part in codec.layout.parts if part.name == name)
    if not isinstance(part, Field) or part.count is not None:
        return False
    return part.picture.kind == "text" or (part.item.usage == "display" and not part.picture.signed)
