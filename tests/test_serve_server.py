"""The page's server as a browser, another web page or a hostile client meets it; no network yet."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from email.message import Message
from http.client import HTTPConnection
from typing import Any, BinaryIO

import pytest

from dlrun.errors import UserError
from dlrun.serve import server as module
from dlrun.serve.guard import Refused, body_length, require_own
from dlrun.serve.server import Answer, Options, Route, Server

LIMIT = 10**6
BYTES = "application/octet-stream"


def echo(content: BinaryIO, options: Options) -> Answer:
    """What was sent, and the options, as JSON."""
    text = content.read().decode()
    return Answer(io.BytesIO(json.dumps({"text": text, **options}).encode()))


def refuse(content: BinaryIO, options: Options) -> Answer:
    raise UserError("is no\nimage \x1b[2J")


def fail(content: BinaryIO, options: Options) -> Answer:
    raise ZeroDivisionError("by nought")


@contextmanager
def serving(routes: Mapping[str, Route]) -> Iterator[Server]:
    with Server(0, lambda token, nonce: f"<p>{token} {nonce}</p>", routes) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    answers = {"/echo": echo, "/refuse": refuse, "/fail": fail}
    with serving({path: Route(BYTES, LIMIT, answer) for path, answer in answers.items()}) as one:
        yield one


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str | None
) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an answer; a header given as None is not sent.

    Without others the headers are those of our own page, `_` in their names standing for `-`.
    """
    sent: dict[str, str | None] = {"Host": f"127.0.0.1:{server.port}"}
    if method == "POST":
        sent |= {"Content-Type": BYTES, "X-Dlrun-Token": server.token}
        sent["Content-Length"] = str(len(body or b""))
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def error(answer: tuple[int, dict[str, str], str]) -> tuple[int, str]:
    """Status and line of a refusal, which is JSON."""
    status, headers, text = answer
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(text)["error"]


def test_page_has_its_token_and_a_policy_that_allows_its_own_script_alone(server: Server) -> None:
    status, headers, text = ask(server, "GET", "/?x=1")
    token, nonce = text.removeprefix("<p>").removesuffix("</p>").split()
    assert (status, token) == (200, server.token)
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == f"'nonce-{nonce}'"
    assert policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert ask(server, "GET", "/")[2] != text  # another nonce each time


def test_server_listens_on_this_machine_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_what_the_page_sends_is_answered(server: Server) -> None:
    status, headers, text = ask(server, "POST", "/echo?drawn=yes", b"ink")
    assert (status, json.loads(text)) == (200, {"text": "ink", "drawn": "yes"})
    assert "script-src 'none'" in headers["Content-Security-Policy"]
    large = b"x" * LIMIT
    assert len(json.loads(ask(server, "POST", "/echo", large)[2])["text"]) == LIMIT


def test_upload_beyond_memory_lies_in_a_file(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 10)
    assert json.loads(ask(server, "POST", "/echo", b"x" * 11)[2])["text"] == "x" * 11


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "127.0.0.1"])
def test_both_names_of_this_machine_are_taken(server: Server, name: str) -> None:
    own = {"Host": f"{name}:{server.port}", "Origin": f"http://{name}:{server.port}"}
    assert ask(server, "POST", "/echo", b"", **own, Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1:{port}.evil.example"},
        {"Host": None},
        {"Origin": "https://evil.example"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://localhost:1"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_request_from_elsewhere_is_refused(
    server: Server, method: str, headers: Mapping[str, str | None]
) -> None:
    sent = {k: v and v.format(port=server.port) for k, v in headers.items()}
    answer = ask(server, method, "/" if method == "GET" else "/echo", **sent)
    status, line = error(answer)
    assert status == 403
    assert line.startswith(("Host ", "Origin ", "a "))
    assert server.token not in answer[2]
    assert not [name for name in answer[1] if name.startswith("Access-Control")]


def test_two_hosts_are_refused() -> None:
    headers = Message()
    headers["Host"] = "127.0.0.1:7860"
    require_own(headers, 7860)
    headers["Host"] = "127.0.0.1:7860"
    with pytest.raises(Refused, match="expected 127.0.0.1:7860"):
        require_own(headers, 7860)


@pytest.mark.parametrize("token", [None, "", "guess", "\xfc"])
def test_request_without_the_token_of_the_page_is_refused(
    server: Server, token: str | None
) -> None:
    status, line = error(ask(server, "POST", "/echo", b"x", X_Dlrun_Token=token))
    assert status == 403
    assert line.endswith("(reload the page)")


@pytest.mark.parametrize(
    "given", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ";"]
)
def test_what_a_form_can_send_is_refused(server: Server, given: str | None) -> None:
    status, line = error(ask(server, "POST", "/echo", b"x", Content_Type=given))
    assert (status, line.endswith(f"expected {BYTES}")) == (415, True)


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "HEAD", "TRACE", "CONNECT", "X"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    status, headers, _ = ask(server, method, "/")
    assert status == 501
    assert not [name for name in headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "//etc/passwd", "/../../etc/passwd", "/page.html", "/%2e%2e/x", "*"]
)
def test_no_file_is_served(server: Server, path: str) -> None:
    assert error(ask(server, "GET", path))[0] == 404
    assert error(ask(server, "POST", path, b""))[0] == 404


@pytest.mark.parametrize(
    ("lengths", "status"),
    [
        ([], 411),
        (["1000001"], 413),
        (["1073741824"], 413),
        (["9" * 5000], 413),
        (["-1"], 400),
        (["+1"], 400),
        (["1_0"], 400),
        (["0x10"], 400),
        (["\u0661"], 400),
        ([""], 400),
        (["1", "2"], 400),
    ],
)
def test_length_is_judged_before_anything_is_read(lengths: list[str], status: int) -> None:
    headers = Message()
    for length in lengths:
        headers["Content-Length"] = length
    with pytest.raises(Refused) as refused:
        body_length(headers, LIMIT)
    assert refused.value.status == status
    assert len(refused.value.text) < 200
    headers = Message()
    headers["Content-Length"] = "1000000"
    assert body_length(headers, LIMIT) == LIMIT


def pour(server: Server, headers: Mapping[str, str], block: bytes, total: int) -> tuple[str, int]:
    """The answer to a POST, and how many bytes of its body were sent before the server hung up."""
    own = {"Host": f"localhost:{server.port}", "X-Dlrun-Token": server.token}
    lines = [f"{k}: {v}" for k, v in {**own, "Content-Type": BYTES, **headers}.items()]
    head = "\r\n".join(["POST /echo HTTP/1.1", *lines, "", ""])
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode())
        sent = 0
        answer = b""
        with suppress(ConnectionError):
            while sent < total:
                sent += connection.send(block)
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
    return answer.decode(), sent


@pytest.mark.parametrize(
    ("headers", "block", "status"),
    [
        ({"Content-Length": str(2**30)}, b"x" * 65536, "413"),
        ({"Transfer-Encoding": "chunked"}, b"10000\r\n" + b"x" * 65536 + b"\r\n", "411"),
        ({"Content-Length": "5", "Transfer-Encoding": "chunked"}, b"x" * 65536, "411"),
    ],
)
def test_gigabyte_is_refused_unread_and_takes_no_memory(
    server: Server, headers: Mapping[str, str], block: bytes, status: str
) -> None:
    tracemalloc.start()
    try:
        answer, sent = pour(server, headers, block, 2**30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.startswith(f"HTTP/1.0 {status} ")
    assert sent < 2**25  # what the buffers of both sockets take, and no more
    assert peak < 2**21


def test_upload_that_breaks_off_is_told(server: Server) -> None:
    own = f"Host: localhost:{server.port}\r\nX-Dlrun-Token: {server.token}\r\n"
    head = f"POST /echo HTTP/1.1\r\n{own}Content-Type: {BYTES}\r\nContent-Length: 9\r\n\r\nhalf"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.0 400 ")
    assert "broke off" in answer


def test_slow_client_is_sent_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.settimeout(0.02)
        answer: bytes | None = None
        end = time.monotonic() + 20
        while answer is None and time.monotonic() < end:  # a byte now and then would last forever
            with suppress(ConnectionError):
                connection.send(b"G")
            with suppress(TimeoutError, ConnectionError):
                answer = connection.recv(10)
    assert answer == b""  # hung up, in the middle of the first line


def test_only_so_many_connections_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 1)
    with (
        serving({}) as small,
        socket.create_connection(("127.0.0.1", small.port), timeout=20),  # says nothing
        socket.create_connection(("127.0.0.1", small.port), timeout=20) as second,
    ):
        assert second.recv(100).startswith(b"HTTP/1.0 503 ")


def test_connection_is_free_again_after_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 1)
    with serving({}) as small:
        statuses = []
        for _ in range(3):
            end = time.monotonic() + 20
            while (status := ask(small, "GET", "/")[0]) == 503 and time.monotonic() < end:
                pass  # the last one's thread has answered but not ended yet
            statuses.append(status)
    assert statuses == [200, 200, 200]


def test_fault_in_the_upload_is_one_line_that_only_prints(server: Server) -> None:
    assert error(ask(server, "POST", "/refuse", b"")) == (422, "is no image \\x1b[2J")


def test_fault_of_the_server_is_told_on_both_sides(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "ZeroDivisionError: by nought"
    assert error(ask(server, "POST", "/fail", b"")) == (500, told)
    assert capsys.readouterr().err == f"error: {told}\n"
    assert ask(server, "POST", "/echo", b"")[0] == 200


@pytest.mark.parametrize(
    "line", [b"\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n", b"G / X\r\n"]
)
def test_what_is_no_http_gets_no_page(
    server: Server, line: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert server.token.encode() not in answer
    assert b"Traceback" not in answer
    assert capsys.readouterr().err == ""


def test_client_that_goes_away_is_no_error(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    for sent in (b"", b"GET / HT", f"GET / HTTP/1.1\r\nHost: {server.url[7:-1]}\r\n\r\n".encode()):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            linger: Any = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # closing resets the connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(sent)
    assert ask(server, "GET", "/")[0] == 200
    assert capsys.readouterr().err == ""
