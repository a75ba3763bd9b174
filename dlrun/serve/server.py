"""A small HTTP server on this machine alone: one page, and what the page asks for.

Each connection carries one request. Nothing is read from the disk by a name that a request gives.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from dlrun.errors import Failure, UserError, printable, shown
from dlrun.failures import explain
from dlrun.serve.guard import (
    Refused,
    body_length,
    require_own,
    require_token,
    require_type,
)

LOOPBACK = "127.0.0.1"
REQUEST_SECONDS = 30.0  # within which a request has to be here as a whole
ANSWER_SECONDS = 30.0  # within which each block of an answer has to be taken
CONNECTIONS = 32  # at once; browsers open some ahead of need
BLOCK = 2**16  # bytes
IN_MEMORY = 2**20  # bytes of an upload; a larger one lies in a temporary file
LINGER_SECONDS = 1.0
LINGER_BYTES = 2**18

Options = Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What goes back to the page: all of `content`, which stands at its beginning."""

    content: BinaryIO
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """What may be sent to one path, at most `limit` bytes, and the function that answers it.

    answer: called with the upload and with what follows `?` in the address; several at once, in
    threads of their own. Its UserErrors are shown on the page.
    """

    content_type: str
    limit: int
    answer: Callable[[BinaryIO, Options], Answer]


class Server(ThreadingHTTPServer):
    """Serves on 127.0.0.1 at `port`, 0 for any free one.

    page: the HTML for a token and a nonce. routes: by path, such as `/image`.
    between: called between two requests, and ten times a second; what it raises ends the serving.
    Raises OSError where the port cannot be had.
    """

    daemon_threads = True  # whoever still waits for an answer does not keep the process alive
    allow_reuse_address = os.name == "posix"  # elsewhere it would share a port that is in use
    allow_reuse_port = False

    def __init__(
        self,
        port: int,
        page: Callable[[str, str], str],
        routes: Mapping[str, Route],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.page = page
        self.routes = routes
        self.service_actions = between  # type: ignore[method-assign]
        self.closed = False
        self.token = secrets.token_urlsafe(32)
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__((LOOPBACK, port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/"

    def server_bind(self) -> None:
        """Binds without HTTPServer's question for this machine's name, which a network answers."""
        socketserver.TCPServer.server_bind(self)

    def server_close(self) -> None:
        self.closed = True
        super().server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            with suppress(OSError):  # a client that has gone already needs no answer
                request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line for what went wrong outside of any answer; none for a client that has gone."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            tell(error)


class Deadline(io.RawIOBase):
    """The bytes that a socket receives until `seconds` from now, however slowly they come.

    A socket's own timeout begins anew with each byte. Raises TimeoutError.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class Handler(BaseHTTPRequestHandler):
    """One request: refused, or answered by the page or a route."""

    server: Server
    server_version = "dlrun"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(Deadline(self.connection, REQUEST_SECONDS), BLOCK)

    def do_GET(self) -> None:
        with self.refusals_told():
            require_own(self.headers, self.server.port)
            if urlsplit(self.path).path != "/":
                raise Refused(404, f"{shown(self.path, 80)}: there is only the page / here")
            nonce = secrets.token_urlsafe(16)
            text = self.server.page(self.server.token, nonce)
            self.reply(200, Answer(io.BytesIO(text.encode()), "text/html; charset=utf-8"), nonce)

    def do_POST(self) -> None:
        with self.refusals_told():
            require_own(self.headers, self.server.port)
            require_token(self.headers, self.server.token)
            address = urlsplit(self.path)
            route = self.server.routes.get(address.path)
            if route is None:
                raise Refused(404, f"{shown(self.path, 80)}: nothing answers there")
            require_type(self.headers, route.content_type)
            length = body_length(self.headers, route.limit)
            options = dict(parse_qsl(address.query))
            with self.upload(length) as content:
                answer = route.answer(content, options)
            with answer.content:
                self.reply(200, answer)

    @contextmanager
    def upload(self, length: int) -> Iterator[BinaryIO]:
        """The body of the request, of this many bytes, as a file at its beginning."""
        with cast(BinaryIO, io.BytesIO() if length <= IN_MEMORY else TemporaryFile()) as content:
            left = length
            while left:
                block = self.rfile.read(min(left, BLOCK))
                if not block:
                    raise Refused(400, "the upload broke off before its end")
                content.write(block)
                left -= len(block)
            content.seek(0)
            yield content

    @contextmanager
    def refusals_told(self) -> Iterator[None]:
        """Answers with a line of what was wrong with the request, or with this machine."""
        try:
            yield
        except Refused as refusal:
            self.send_error(refusal.status, refusal.text)
        except UserError as error:
            self.send_error(422, str(error))
        except TimeoutError:
            self.send_error(408, f"the request took longer than {REQUEST_SECONDS:g} seconds")
        except ConnectionError:  # the page was closed, or has begun to ask for something else
            self.close_connection = True
        except Exception as error:
            if self.server.closed:  # nobody computes any more, and nobody waits for an answer
                self.close_connection = True
                return
            tell(error)
            self.send_error(500, in_words(error))

    def reply(self, status: int, answer: Answer, nonce: str = "") -> None:
        """Sends the answer; a page may run the script and style with this nonce, nothing else."""
        self.connection.settimeout(ANSWER_SECONDS)
        length = answer.content.seek(0, os.SEEK_END)
        answer.content.seek(0)
        self.send_response(status)
        for name, value in {
            "Content-Type": answer.content_type,
            "Content-Length": str(length),
            "Content-Security-Policy": policy(nonce),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Connection": "close",
            **answer.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        shutil.copyfileobj(answer.content, self.wfile, BLOCK)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers with the status and a line of JSON; what is still to come is not taken."""
        self.close_connection = True
        text = printable(message or self.responses.get(code, ("refused", ""))[0])
        line = json.dumps({"error": text.replace("\n", " ")}).encode()
        self.reply(code, Answer(io.BytesIO(line)))
        self.linger()

    def linger(self) -> None:
        """Lets a client that is still sending read the answer, before closing resets it."""
        rest = Deadline(self.connection, LINGER_SECONDS)
        dropped, block = 0, bytearray(BLOCK)
        with suppress(OSError):  # too slow, or gone: either way nobody is there to be answered
            self.connection.shutdown(socket.SHUT_WR)
            while dropped < LINGER_BYTES and (size := rest.readinto(block)):
                dropped += size

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a terminal filled by every stroke of the pen helps nobody."""


def policy(nonce: str) -> str:
    """The Content-Security-Policy of an answer: nothing from elsewhere, nothing inline but ours."""
    own = f"'nonce-{nonce}'" if nonce else "'none'"
    return (
        f"default-src 'none'; script-src {own}; style-src {own}; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def in_words(error: BaseException | None) -> str:
    """An error that is not the page's, in one line."""
    if error is None or isinstance(error, Failure):
        return str(error)
    first = next(iter(str(error).splitlines()), "")
    return explain(error) or f"{type(error).__name__}: {shown(first)}"


def tell(error: BaseException | None) -> None:
    """Prints an error of the server, which goes on, where it was started."""
    print(f"error: {printable(in_words(error))}", file=sys.stderr, flush=True)
