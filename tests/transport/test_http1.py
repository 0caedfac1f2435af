"""What the transports take for an answer, and the bytes that they send."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Headers, Request
from etcdv2._transport.http1 import AnswerReader, BadAnswer, RequestEncoder

ENDPOINT = Endpoint("http", "10.0.0.1", 2379)
HEADERS: Headers = (("User-Agent", "tests"),)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS: dict[bytes, bytes] = {
    OK + b"X-Etcd-Index: 4\r\nContent-Length: 5\r\n\r\nhello": b"hello",
    OK + b"X-Etcd-Index: 4\r\n" + CHUNKED + b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n": b"hello",
    b"HTTP/1.1 100 Continue\r\nX-Etcd-Index: 9\r\n\r\n" + OK + b"X-Etcd-Index: 4\r\nContent-Length: 0\r\n\r\n": b"",
    b"HTTP/1.1 204 No Content\r\nX-Etcd-Index: 4\r\n\r\n": b"",
    b"HTTP/1.1 304 Not Modified\r\nX-Etcd-Index: 4\r\nContent-Length: 5\r\n\r\n": b"",
}
REFUSED = [
    OK + b"A: b\r\n folded\r\n\r\n",
    OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    OK + b"Content-Length: +3\r\n\r\nabc",
    OK + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
    OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    OK + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    OK + b"Bad Name: x\r\n\r\n",
    OK + b"A: \x00\r\n\r\n",
    b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nabc",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x15\x03\x01\x00\x02\x02\x50",
]


def feed_all(one: AnswerReader, parts: Iterable[bytes]) -> None:
    for part in parts:
        one.feed(part)


def reader(max_header_bytes: int = 65536, max_body_bytes: int = 1 << 20) -> AnswerReader:
    return AnswerReader(max_header_bytes, max_body_bytes)


@pytest.mark.parametrize("answer", ANSWERS)
def test_answer_is_the_same_however_it_is_split(answer: bytes) -> None:
    for step in (1, 2, 7, len(answer)):
        one = reader()
        for at in range(0, len(answer), step):
            assert not one.done
            one.feed(answer[at : at + step])
        assert one.done
        assert one.reusable
        assert one.headers["x-etcd-index"] == "4"
        assert "trailer" not in one.headers
        assert one.reply().body == ANSWERS[answer]


def test_nothing_of_one_answer_reaches_the_next_on_the_same_connection() -> None:
    one = reader()
    for answer in list(ANSWERS) * 2:
        one.begin()
        one.feed(answer)
        reply = one.reply()
        assert reply.body == ANSWERS[answer]
        assert reply.headers["x-etcd-index"] == "4"
        assert "trailer" not in reply.headers


@pytest.mark.parametrize("answer", REFUSED)
def test_what_is_not_a_trustworthy_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        reader().feed(answer)


@pytest.mark.parametrize("surplus", [b"H", OK, b"HTTP/1.1 500 No\r\nX: y\r\nContent-Length: 3\r\n\r\nbad", b"garbage"])
def test_bytes_after_an_answer_make_the_connection_unusable_and_reach_nobody(surplus: bytes) -> None:
    one = reader()
    one.feed(OK + b"Content-Length: 4\r\n\r\ngood" + surplus)
    assert one.done
    assert not one.reusable
    reply = one.reply()
    assert (reply.status, reply.headers, reply.body) == (200, {"content-length": "4"}, b"good")
    assert one.take() == b""


def test_body_without_length_ends_with_the_connection_which_is_not_used_again() -> None:
    one = reader()
    one.feed(OK + b"\r\npart")
    assert not one.done
    one.feed(b" two")
    one.feed_eof()
    assert one.reply().body == b"part two"
    assert not one.reusable


@pytest.mark.parametrize(
    "part",
    [b"", b"HTT", OK, OK + b"Content-Length: 5\r\n\r\nhel", OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"],
)
def test_end_of_the_connection_within_an_answer_is_no_answer(part: bytes) -> None:
    one = reader()
    if part:
        one.feed(part)
    with pytest.raises(BadAnswer):
        one.feed_eof()


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"connection: Close\r\n"])
def test_connection_close_is_honoured(head: bytes) -> None:
    one = reader()
    one.feed(OK + head + b"Content-Length: 0\r\n\r\n")
    assert one.done
    assert not one.reusable


def test_http_1_0_connection_is_not_kept() -> None:
    one = reader()
    one.feed(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert one.done
    assert not one.reusable


@pytest.mark.parametrize("line", [b"A: " + b"x" * 3000 + b"\r\n", b"A" * 3000 + b": x\r\n", b"A: x\r\n" * 600])
@pytest.mark.parametrize("step", [1, 100, 10000])
def test_endless_headers_are_refused(line: bytes, step: int) -> None:
    one = reader(max_header_bytes=2000)
    answer = OK + line
    with pytest.raises(BadAnswer, match="more than 2000 bytes of headers"):
        feed_all(one, [answer[at : at + step] for at in range(0, len(answer), step)])


def test_large_header_that_comes_with_its_body_is_refused() -> None:
    with pytest.raises(BadAnswer, match="more than 2000 bytes of headers"):
        reader(max_header_bytes=2000).feed(OK + b"A: " + b"x" * 3000 + b"\r\nContent-Length: 0\r\n\r\n")


def test_endless_interim_answers_are_refused() -> None:
    one = reader(max_header_bytes=2000)
    with pytest.raises(BadAnswer, match="headers"):
        feed_all(one, [b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000)


def test_trailers_are_bounded() -> None:
    one = reader(max_header_bytes=2000, max_body_bytes=5000)
    one.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
    with pytest.raises(BadAnswer):
        feed_all(one, [b"T%d: x\r\n" % number for number in range(1000)])


def test_too_large_a_body_is_refused_before_it_comes() -> None:
    with pytest.raises(BadAnswer, match="2000000 bytes; at most 1048576"):
        reader().feed(OK + b"Content-Length: 2000000\r\n\r\n")


@pytest.mark.parametrize("start", [OK + b"Transfer-Encoding: chunked\r\n\r\nfffff0\r\n", OK + b"\r\n"])
def test_endless_body_is_refused(start: bytes) -> None:
    one = reader(max_body_bytes=10000)
    one.feed(start)
    with pytest.raises(BadAnswer, match="more than 10000 bytes"):
        feed_all(one, [b"x" * 1000] * 1000)


def test_streaming_body_may_be_of_any_size_and_is_taken_away_as_it_comes() -> None:
    one = reader(max_header_bytes=2000, max_body_bytes=10000)
    one.begin(streaming=True)
    one.feed(OK + b"Content-Length: 2000000\r\n\r\n")
    for _ in range(1000):
        one.feed(b"x" * 1000)
        assert len(one.take()) == 1000
    assert not one.done


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_random_bytes_are_refused_or_incomplete(parts: list[bytes]) -> None:
    one = reader()
    try:
        for part in parts:
            one.feed(part)
        one.feed_eof()
    except BadAnswer:
        return
    assert one.done


@given(
    st.sampled_from([*ANSWERS, *REFUSED]),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 3), st.binary(max_size=6)), min_size=1, max_size=4),
    st.integers(1, 60),
)
def test_mutated_answers_raise_nothing_else(answer: bytes, changes: list[tuple[int, int, bytes]], step: int) -> None:
    for at, length, put in changes:
        answer = answer[:at] + put + answer[at + length :]
    one = reader()
    try:
        for at in range(0, len(answer), step):
            one.feed(answer[at : at + step])
        one.feed_eof()
    except BadAnswer:
        return
    assert one.done
    assert 200 <= one.reply().status <= 999


def encode(request: Request, endpoint: Endpoint = ENDPOINT) -> bytes:
    return RequestEncoder(endpoint).encode(request)


def test_get_has_the_line_and_the_headers_and_nothing_more() -> None:
    assert encode(
        Request("GET", "/v2/keys/a?quorum=true", (("User-Agent", "me"), ("Authorization", "Basic eA==")))
    ) == (
        b"GET /v2/keys/a?quorum=true HTTP/1.1\r\nHost: 10.0.0.1:2379\r\nAccept-Encoding: identity\r\n"
        b"User-Agent: me\r\nAuthorization: Basic eA==\r\n\r\n"
    )


def test_body_is_sent_with_its_length_and_type() -> None:
    form = "application/x-www-form-urlencoded"
    sent = encode(Request("PUT", "/v2/keys/a", HEADERS, form, b"value=1"), Endpoint("http", "::1", 80, "/etcd"))
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"PUT /etcd/v2/keys/a HTTP/1.1",
        b"Host: [::1]:80",
        b"Accept-Encoding: identity",
        b"User-Agent: tests",
        b"Content-Type: application/x-www-form-urlencoded",
        b"Content-Length: 7",
    ]
    assert body == b"value=1"


def test_put_without_body_says_so_and_delete_needs_not() -> None:
    assert b"Content-Length: 0\r\n" in encode(Request("PUT", "/v2/auth/enable", HEADERS))
    assert b"Content-Length" not in encode(Request("DELETE", "/v2/keys/a", HEADERS))


def test_changed_headers_are_sent_though_others_were_remembered() -> None:
    encoder = RequestEncoder(ENDPOINT)
    for number in range(3):
        assert b"User-Agent: %d\r\n" % number in encoder.encode(Request("GET", "/", (("User-Agent", str(number)),)))


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/a b", HEADERS),
        Request("GET", "/a\r\nX: y", HEADERS),
        Request("GET", "/ä", HEADERS),
        Request("GET", "/\x7f", HEADERS),
        Request("GET", "a", HEADERS),
        Request("GET", "", HEADERS),
        Request("GET /x", "/a", HEADERS),
        Request("", "/a", HEADERS),
        Request("HEAD", "/a", HEADERS),
        Request("GET", "/a", (("User-Agent", "x\r\nY: z"),)),
        Request("GET", "/a", (("User-Agent", "x\n"),)),
        Request("GET", "/a", (("User-Agent", "\x00"),)),
        Request("GET", "/a", (("User-Agent", "€"),)),
        Request("GET", "/a", (("User:Agent", "x"),)),
        Request("GET", "/a", (("", "x"),)),
        Request("PUT", "/a", HEADERS, "text/plain\r\nX: y", b""),
    ],
)
def test_what_would_not_be_one_such_request_is_refused(request_: Request) -> None:
    with pytest.raises(ValueError, match=r"request target|method|header"):
        encode(request_)


def test_refusal_does_not_show_a_header_value() -> None:
    with pytest.raises(ValueError, match="Authorization") as caught:
        encode(Request("GET", "/a", (("Authorization", "Basic secret\n"),)))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("length", "needs"), [(4096, False), (4097, True)])
def test_plaintext_request_line_over_4096_bytes_needs_a_used_connection(length: int, needs: bool) -> None:
    endpoint = Endpoint("http", "h", 1, "/prefix")
    request = Request("GET", "/" + "a" * (length - len("GET /prefix/ HTTP/1.1\r\n")), HEADERS)
    assert len(encode(request, endpoint).split(b"Host")[0]) == length
    assert RequestEncoder(endpoint).needs_used_connection(request) is needs
    assert not RequestEncoder(endpoint._replace(scheme="https")).needs_used_connection(request)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_head_of_a_request_is_as_long_as_etcd_reads_at_most(method: str) -> None:
    """The body is not counted."""
    short = Request(method, "/v2/keys/a", HEADERS, "application/x-www-form-urlencoded", b"value=1")
    size = len(encode(short).partition(b"\r\n\r\n")[0]) + 4
    longest = short._replace(target=short.target + "a" * (1_052_672 - size))
    assert len(encode(longest).partition(b"\r\n\r\n")[0]) + 4 == 1_052_672
    with pytest.raises(ValueError, match="1052673 bytes; etcd takes 1052672"):
        encode(longest._replace(target=longest.target + "a"))
