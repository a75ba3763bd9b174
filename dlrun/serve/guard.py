"""Which requests the page's server takes: those of its own page, no longer than it says.

Any web page that is open in the same browser can send requests to this machine. They come with a
Host of their own once its name is made to point here (DNS rebinding), with its Origin, or marked
as cross-site by the browser; and none of them knows the token that stands in our page.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from email.message import Message

from dlrun.errors import shown

TOKEN = "X-Dlrun-Token"


class Refused(Exception):
    """A request that gets no answer but an HTTP status and a line that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def names_of(port: int) -> list[str]:
    """What a browser on this machine may call the server.

    >>> names_of(7860)
    ['127.0.0.1:7860', 'localhost:7860']
    """
    bare = ["127.0.0.1", "localhost"] if port == 80 else []
    return [f"127.0.0.1:{port}", f"localhost:{port}", *bare]


def require_own(headers: Message, port: int) -> None:
    """Raises Refused, 403, for a request that another page or another name has led here."""
    names = names_of(port)
    hosts = _all(headers, "Host")
    if len(hosts) != 1 or hosts[0].lower() not in names:
        got = ", ".join(hosts) or "none"
        raise Refused(403, f"Host {shown(got, 80)}: expected {names[0]} (open http://{names[0]}/)")
    for origin in _all(headers, "Origin"):
        if origin.lower() not in [f"http://{name}" for name in names]:
            raise Refused(403, f"Origin {shown(origin, 80)}: only the page itself may ask")
    for site in _all(headers, "Sec-Fetch-Site"):
        if site not in ("same-origin", "none"):
            raise Refused(403, f"a {shown(site, 40)} request: only the page itself may ask")


def require_token(headers: Message, token: str) -> None:
    """Raises Refused, 403, for a request without the token that stands in the page."""
    given = headers.get(TOKEN) or ""
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
        raise Refused(403, f"{TOKEN}: not that of the page as it is served now (reload the page)")


def require_type(headers: Message, content_type: str) -> None:
    """Raises Refused, 415, for another kind of content: what a form can send is never taken."""
    given = headers.get_content_type() if "Content-Type" in headers else "none"
    if given != content_type:
        raise Refused(415, f"Content-Type {shown(given, 80)}: expected {content_type}")


def body_length(headers: Message, limit: int) -> int:
    """How many bytes follow, which the request says itself, before any of them is read.

    Raises Refused: 411 where it does not say, 413 where they are more than `limit`.
    """
    lengths = _all(headers, "Content-Length")
    if "Transfer-Encoding" in headers or not lengths:
        raise Refused(411, "Content-Length: expected the number of bytes that follow")
    # Digits alone: int() also takes signs, spaces and underscores, which proxies read otherwise.
    if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise Refused(400, f"Content-Length {shown(', '.join(lengths), 40)}: expected one number")
    digits = lengths[0].lstrip("0") or "0"
    if len(digits) > 18 or int(digits) > limit:
        raise Refused(413, f"{_size(digits)} are too much: at most {limit // 10**6} MB are taken")
    return int(digits)


def _size(digits: str) -> str:
    """Decimal digits of a number of bytes, in the unit of the limit.

    >>> _size("1073741824"), _size("9" * 30)
    ('1,074 MB', 'more than 1,000,000,000,000 MB')
    """
    if len(digits) > 18:
        return f"more than {10**12:,} MB"
    return f"{-(-int(digits) // 10**6):,} MB"


def _all(headers: Message, name: str) -> Sequence[str]:
    return [str(value).strip() for value in headers.get_all(name) or []]
