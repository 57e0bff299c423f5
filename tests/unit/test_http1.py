"""The reader of HTTP answers: the same answer however its bytes arrive, and nothing that could be two answers is one."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http1 import HEAD, Ended, NotHttp, Response, TooLong, receive

OK = b"HTTP/1.1 200 OK\r\nContent-Type:  text/xml; charset=utf-8 \r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n"
TO_THE_END = b"HTTP/1.0 200\r\n\r\nhello"


def feed(*pieces: bytes) -> Callable[[memoryview], int]:
    """A connection on which the pieces arrive one by one, and which then ends."""
    left = list(pieces)

    def read_into(buffer: memoryview) -> int:
        piece = left.pop(0) if left else b""
        taken = min(len(piece), len(buffer))
        buffer[:taken] = piece[:taken]
        if taken < len(piece):
            left.insert(0, piece[taken:])
        return taken

    return read_into


def read(*pieces: bytes, most: int = 100) -> Response:
    return receive(feed(*pieces), most)


@given(st.sampled_from([OK, CHUNKED, TO_THE_END, b"HTTP/1.1 100 Continue\r\n\r\n" + OK]), st.lists(st.integers(0, 200), max_size=6))
def test_an_answer_is_the_same_however_its_bytes_arrive(answer: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    response = read(*(answer[a:b] for a, b in itertools.pairwise(edges)))
    assert (response.status, response.body) == (200, b"hello")
    assert response.reusable is (answer is not TO_THE_END)


@given(st.sampled_from([OK, CHUNKED]), st.integers(0, 200))
def test_an_answer_that_is_cut_is_never_whole(answer: bytes, size: int) -> None:
    with pytest.raises(Ended):
        read(answer[: min(size, len(answer) - 1)])


def test_headers_are_found_by_lower_case_names_and_repeated_ones_are_joined() -> None:
    headers = read(OK.replace(b"\r\n\r\n", b"\r\nX-A: 1\r\nx-a: 2\r\nEmpty:\r\n\r\n")).headers
    assert headers == {"content-type": "text/xml; charset=utf-8", "content-length": "5", "x-a": "1, 2", "empty": ""}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((b"HTTP/1.1", b"HTTP/2.0"), id="another version"),
        pytest.param((b"HTTP/1.1", b"ICY"), id="another protocol"),
        pytest.param((b"200 OK", b"20 OK"), id="a short status"),
        pytest.param((b"200 OK", b"101 Switching Protocols"), id="a change of protocol"),
        pytest.param((b"\r\nContent-Type", b"\nContent-Type"), id="a bare line feed"),
        pytest.param((b"\r\nContent-Type", b"\r\n folded\r\nContent-Type"), id="a folded line"),
        pytest.param((b"Content-Type:", b"Content-Type :"), id="a space before the colon"),
        pytest.param((b"text/xml", b"text/\0xml"), id="a NUL"),
        pytest.param((b"text/xml", b"text/\rxml"), id="a bare carriage return"),
        pytest.param((b"Content-Length: 5", b"Content-Length: +5"), id="a signed length"),
        pytest.param((b"Content-Length: 5", b"Content-Length: 5, 5"), id="a length twice in one line"),
        pytest.param((b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 6"), id="two lengths"),
        pytest.param((b"Content-Length: 5", "Content-Length: \u00b2".encode("latin-1")), id="a superscript length"),
        pytest.param((b"Content-Length: 5", b"Content-Length: 5\r\nTransfer-Encoding: chunked"), id="a length and chunks"),
        pytest.param((b"Content-Length: 5", b"Transfer-Encoding: gzip, chunked"), id="another coding"),
        pytest.param((b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n-1\r\n"), id="a signed chunk"),
        pytest.param((b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3\r\n"), id="a chunk longer than its size"),
    ],
)
def test_what_is_not_strictly_an_answer_is_none(change: tuple[bytes, bytes]) -> None:
    assert change[0] in OK
    with pytest.raises(NotHttp):
        read(OK.replace(*change))


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_a_head_or_a_line_without_end_is_given_up(beginning: bytes) -> None:
    with pytest.raises(NotHttp, match="without end"):
        read(beginning, *[b"1" * 8192] * (HEAD // 8192 + 2))


def test_trailers_without_end_are_given_up() -> None:
    with pytest.raises(NotHttp, match="trailers"):
        read(CHUNKED[:-2], *[b"X: " + b"y" * 1000 + b"\r\n"] * (HEAD // 1000 + 2))


def test_garbage_is_known_by_its_first_bytes() -> None:
    with pytest.raises(NotHttp):
        read(b"2")


@pytest.mark.parametrize("answer", [OK, CHUNKED, TO_THE_END])
def test_no_more_is_read_than_the_caller_takes(answer: bytes) -> None:
    assert read(answer, most=5).body == b"hello"
    with pytest.raises(TooLong):
        read(answer, most=4)


@pytest.mark.parametrize(
    "change, reusable",
    [
        ((b"", b""), True),
        ((b"hello", b"hello!"), False),
        ((b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), False),
        ((b"HTTP/1.1", b"HTTP/1.0"), False),
        ((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n"), True),
    ],
)
def test_a_connection_is_reusable_when_the_next_answer_would_begin_there(change: tuple[bytes, bytes], reusable: bool) -> None:
    assert read(OK.replace(*change, 1)).reusable is reusable


def test_an_answer_without_a_body_ends_with_its_head() -> None:
    assert read(b"HTTP/1.1 204 No Content\r\n\r\n") == Response(204, {}, b"", True)
