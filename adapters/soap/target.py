"""The catalogue blocks of kind `soap`: which operation, what goes into which element, and where the rows are.

    {system: bureau, operation: CreditCheck.assess, repeat: never,
     send: {Subject/NationalId: "{national_id}", Purpose: CREDIT},     # element path: template; an absent parameter leaves it out
     echo: {Result/NationalId: "{national_id}"},                       # the answer must show what was asked for, else it is a Misread
     rows: Report/Searches/Search,                                     # without it the whole answer is one record
     read: {grade: Result/RiskGrade}}

Paths are local names of elements, without the body's own wrapper. `errors` rules look at `fault` (the name of the fault's detail
element), `faultcode`, the detail's own elements, and paths of an ordinary answer: `{when: {Result/ReturnCode: "08"}, status: 503}`.
All of it is checked against the pinned WSDL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters import errors, template
from adapters.base import BadTarget, Fault, Files
from adapters.blocks import instead, strict
from adapters.errors import ErrorRule
from adapters.httpwire import SYSTEM_KEYS
from adapters.httpwire import calls as calls
from adapters.template import Template

if TYPE_CHECKING:
    from adapters.soap.request import Slot
    from adapters.soap.shape import Child
    from adapters.soap.wsdl import Operation, Wsdl


_PEM = {"type": "string", "description": "PEM text: a private key without a passphrase, or a certificate"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_SECURITY = strict(
    "",
    username_token={"type": "string", "description": "user:password"},
    digest={"type": "boolean"},
    sign=strict("key cert", key=_PEM, cert=_PEM),
    verify=strict("cert", cert=_PEM),
)
SYSTEM: Mapping[str, Any] = strict(
    "wsdl endpoint",
    wsdl={"type": "string", "description": "a file of the catalogue; what it imports must lie beside it"},
    endpoint={"type": "string", "description": "where to send; the WSDL's own address is not used"},
    security={"dependentRequired": {"digest": ["username_token"]}, **_SECURITY, "minProperties": 1},
    **SYSTEM_KEYS,
)
TARGET: Mapping[str, Any] = strict("operation", operation={"type": "string"}, send=_TEXTS, echo=_TEXTS, rows={"type": "string"})
Problems = Iterator[tuple[tuple[str, ...], str]]


@dataclass(frozen=True, slots=True)
class SoapTarget:
    """A compiled block. `rows` is the path of the repeated element, empty when the answer is one record; `telling` are the paths that
    its error rules look at."""

    wsdl: Wsdl
    operation: Operation
    send: tuple[Slot, ...]
    echo: Mapping[str, Template]
    rows: tuple[str, ...]
    uses: frozenset[str]
    gives: frozenset[str]
    errors: tuple[ErrorRule, ...]
    telling: frozenset[str]


def compile(block: Mapping[str, Any], system: Mapping[str, Any], files: Files) -> SoapTarget:
    """See base.TargetModule."""
    from adapters.soap import request, shape, wsdl  # zeep and lxml are loaded only where there is a SOAP block

    pinned = wsdl.load(files, system["wsdl"])
    operation = pinned.operations.get(block["operation"])
    if operation is None:
        near = instead(block["operation"], pinned.operations)
        raise BadTarget([Fault(("operation",), f"{system['wsdl']} has no operation '{block['operation']}'{near}")])
    readable = frozenset(shape.paths(operation.reply.type))
    problems = [
        *_templates(block),
        *_sent(block.get("send", {}), operation.request.type, shape.children),
        *_told(block, readable, [p for fault in operation.faults.values() for p in shape.paths(fault.type)]),
    ]
    if problems:
        raise BadTarget([Fault(path, message) for path, message in problems])
    rows = tuple(block["rows"].split("/")) if "rows" in block else ()
    send = {tuple(path.split("/")): template.parse(text) for path, text in block.get("send", {}).items()}
    echo = {path: template.parse(text) for path, text in block.get("echo", {}).items()}
    rules = errors.rules(block)
    return SoapTarget(
        pinned,
        operation,
        request.compiled(send, operation.request.type),
        echo,
        rows,
        frozenset[str]().union(*(each.uses for each in (*send.values(), *echo.values()))),
        frozenset(shape.paths(_at(operation.reply.type, rows, shape.children))),
        rules,
        frozenset(path for rule in rules for path in rule.when),
    )


def _templates(block: Mapping[str, Any]) -> Problems:
    for key in ("send", "echo"):
        for path, text in block.get(key, {}).items():
            try:
                template.parse(text)
            except ValueError as error:
                yield (key, path), str(error)


def _sent(send: Mapping[str, str], type_: Any, children: Callable[[Any], Mapping[str, Child]]) -> Problems:
    """Each path leads to an element that holds text, and each element that must be there is sent."""
    for path in send:
        here = type_
        for step in path.split("/"):
            names = {child.name: child for child in children(here).values()}
            if step not in names:
                yield ("send", path), f"the request has no element '{path}'{instead(step, names)}"
                break
            here = names[step].type
        else:
            if children(here):
                yield (
                    ("send", path),
                    f"'{path}' holds elements, not a value: send {', '.join(f'{path}/{c.name}' for c in children(here).values())}",
                )
    for missing in _missing(send, type_, children, ""):
        yield ("send",), f"the request needs '{missing}'"


def _missing(send: Mapping[str, str], type_: Any, children: Callable[[Any], Mapping[str, Child]], above: str) -> Iterator[str]:
    """Required elements without a value, in required elements or such as something is sent in."""
    for child in children(type_).values():
        path = above + child.name
        begun = any(sent.startswith(f"{path}/") for sent in send)
        if children(child.type):
            if child.required or begun:
                yield from _missing(send, child.type, children, f"{path}/")
        elif child.required and path not in send:
            yield path


def _told(block: Mapping[str, Any], readable: frozenset[str], in_faults: Iterable[str]) -> Problems:
    """Everything that names a part of the answer names one that the WSDL declares."""
    for path in (*block.get("echo", {}), *([block["rows"]] if "rows" in block else [])):
        if path not in readable:
            where = ("echo", path) if path in block.get("echo", {}) else ("rows",)
            yield where, f"the answer has no element '{path}'{instead(path, readable)}"
    facts = {"fault", "faultcode", *in_faults, *readable}
    for name, rule in block.get("errors", {}).items():
        for fact in rule.get("when", {}):
            if fact not in facts:
                yield ("errors", name, "when", fact), f"neither the answer nor a fault has '{fact}'{instead(fact, facts)}"


def _at(type_: Any, path: Iterable[str], children: Callable[[Any], Mapping[str, Child]]) -> Any:
    for step in path:
        type_ = next(child.type for child in children(type_).values() if child.name == step)
    return type_
