"""As much HTTP/1.1 as the CLI speaks: requests with a known length, kept-alive connections, chunked answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

MAX_BODY_BYTES = 64 * 1024 * 1024
_NAMES = {529: "Overloaded"}


@dataclass(frozen=True)
class HttpRequest:
    """Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Malformed(Exception):
    """The peer does not speak HTTP as we know it."""


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request of a connection; None when the peer has closed it. Raises Malformed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in rest)}
        method, target, _version = line.split(" ")
        body = await reader.readexactly(_length(headers))
    except asyncio.IncompleteReadError:
        return None
    except (ValueError, asyncio.LimitOverrunError) as exc:
        raise Malformed(str(exc)) from exc
    return HttpRequest(method, target, {name: value for name, value in headers.items() if name}, body)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Status line and headers, with the empty line that ends them."""
    known = {item.value: item.phrase for item in HTTPStatus} | _NAMES
    lines = [
        f"HTTP/1.1 {status} {known.get(status, 'Unknown')}",
        *(f"{key}: {value}" for key, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; of nothing, the chunk that ends it."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise Malformed("a request with transfer-encoding is not understood")
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= MAX_BODY_BYTES:
        raise Malformed(f"a body of {length} bytes is more than {MAX_BODY_BYTES}")
    return length
