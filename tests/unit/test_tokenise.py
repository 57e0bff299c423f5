"""Tokens that stand for personal values: the same for the same, and no link to anything else."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stores import on_sqlite
from wrapper.policy.tokenise import NoToken, Tokens
from wrapper.state.store import Store

VALUE = "DE89370400440532013000"


class Fixed:
    """Keys by number."""

    def __init__(self, newest: int = 1) -> None:
        self.newest = newest

    def derived(self, purpose: str, number: int = 1) -> bytes:
        return f"{number} {purpose}".encode().ljust(32, b".")

    def newest_key(self) -> int:
        return self.newest


def test_equal_values_of_one_class_and_tenant_have_one_token_and_no_others_do() -> None:
    tokens = Tokens(Fixed())
    token = tokens.tokenise("iban", VALUE, "retail")
    assert token == Tokens(Fixed()).tokenise("iban", VALUE, "retail")
    others = {
        tokens.tokenise("iban", VALUE, "private"), tokens.tokenise("iban", VALUE), tokens.tokenise("account", VALUE, "retail"),
        tokens.tokenise("iban", VALUE[:-1] + "1", "retail"), Tokens(Fixed(2)).tokenise("iban", VALUE, "retail"),
    }  # fmt: skip
    assert len(others | {token}) == 6
    assert len({text.rpartition("_")[2][:8] for text in others | {token}}) == 6  # not even the beginning


@given(st.text(max_size=200))
def test_every_text_is_revealed_as_it_was_and_its_token_is_safe_anywhere(value: str) -> None:
    tokens = Tokens(Fixed())
    token = tokens.tokenise("account_number", value, "t")
    assert re.fullmatch(r"tk1_account_number_[a-z2-7]+", token)
    assert tokens.reveal(token, "t") == ("account_number", value)


def test_a_changed_token_and_one_of_another_tenant_or_class_is_not_revealed() -> None:
    tokens = Tokens(Fixed())
    token = tokens.tokenise("iban", VALUE, "retail")
    flipped = token[:-10] + ("b" if token[-10] == "a" else "a") + token[-9:]
    for wrong in (flipped, token.replace("iban", "name"), token.replace("tk1", "tk2"), token[:-8], token.upper(), "tk1_iban_", VALUE):
        with pytest.raises(NoToken):
            tokens.reveal(wrong, "retail")
    for tenant in ("", "private"):
        with pytest.raises(NoToken):
            tokens.reveal(token, tenant)


def test_after_a_rotation_new_tokens_are_of_the_new_key_and_old_ones_are_revealed_by_every_process(tmp_path: Path) -> None:
    with closing(on_sqlite(tmp_path).open()) as store, closing(Store(f"sqlite:///{tmp_path}/state.sqlite", there=True)) as other:
        here, there = Tokens(store), Tokens(other)
        old = here.tokenise("iban", VALUE)
        assert store.rotate_key() == 2
        new = there.tokenise("iban", VALUE)
        assert new.startswith("tk2_iban_")
        assert here.tokenise("iban", VALUE) == new
        assert here.reveal(new) == there.reveal(old) == ("iban", VALUE)


def test_a_class_that_is_no_word_is_refused() -> None:
    with pytest.raises(ValueError, match="account_number"):
        Tokens(Fixed()).tokenise("Account Number", VALUE)
