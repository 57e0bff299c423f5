"""Whom a caller may ask about: the rules of `auth.object`, held against what a request says. Each item of a list is held against its rule.

A claim names the values; a @may function decides by them and may look at the other parameters; `any` lets everybody through for a stated
reason. What is not said is not allowed: a parameter that is left out would mean everybody, and only who may ask about everybody passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from wrapper import functions, log
from wrapper.operation import Auth, ObjectRule
from wrapper.policy.keys import ANY, Caller
from wrapper.problems import Forbidden
from wrapper.subjects import given

Check = Callable[[Caller, Mapping[str, Any]], None]
_May = Callable[[Caller, Any, Mapping[str, Any]], bool]


def check(auth: Auth, packages: Sequence[str]) -> Check:
    """The rules of one endpoint as a function of a caller and loaded parameters that raises Forbidden, and shows no value. Raises
    ValueError for a function that is not to be had."""
    rules = [(name, _may(rule, packages), _refusal(name, rule)) for name, rule in auth.object.items() if not rule.reason]

    def check(caller: Caller, params: Mapping[str, Any]) -> None:
        for name, may, refusal in rules:
            for value in given(params, name) or (None,):
                if not may(caller, value, params):
                    raise Forbidden(refusal)

    return check


def _may(rule: ObjectRule, packages: Sequence[str]) -> _May:
    if rule.claim:
        return lambda caller, value, _params: _claimed(caller.claims.get(rule.claim, frozenset()), value)
    function = functions.find(rule.may, packages, functions.MAY)

    def asked(caller: Caller, value: Any, params: Mapping[str, Any]) -> bool:
        try:
            return function(caller.claims, value, MappingProxyType(params)) is True
        except Exception as error:  # noqa: BLE001 - whatever it says may hold a value
            log.get().error("object rule", function=rule.may, outcome=type(error).__name__)
            return False

    return asked


def _claimed(allowed: frozenset[str], value: Any) -> bool:
    return ANY in allowed or (value is not None and str(value) in allowed)


def _refusal(name: str, rule: ObjectRule) -> str:
    if rule.claim:
        return f"this caller has no claim '{rule.claim}' that covers the {name} asked for"
    return f"this caller may not ask about the {name} given"
