"""The endpoint itself: one task a connection, and the faults that need time or a broken connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from harness.rehearsal import http, reply
from harness.rehearsal.conversation import Request
from harness.rehearsal.director import Cue, Director
from harness.rehearsal.records import Billed, Records, moment
from harness.rehearsal.scenario import FOREVER

_JSON = {"content-type": "application/json"}


class Dropped(Exception):
    """The connection ends here, without a word: the peer went away, or a fault says so."""


@dataclass
class Connection:
    """One client. It is never pipelined, so a byte or an end of file while we are silent means that it has gone."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        await self.send(http.head(status, {**headers, "content-length": str(len(body))}) + body)

    async def silent(self, seconds: float) -> None:
        """Say nothing for so long. Raises Dropped when the client gives up first."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(None if seconds == FOREVER else seconds):
                await self.reader.read(1)
        except TimeoutError:
            return
        raise Dropped

    def reset(self) -> None:
        """End the connection as a broken network does, not politely."""
        self.writer.transport.abort()


@dataclass
class Server:
    """Answers as its director says, and puts on record what it was sent and what it billed."""

    director: Director
    records: Records
    _open: dict[asyncio.Task[None], Connection] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[str]:
        """Listen on loopback; gives the URL. Leaving ends every connection, however it hangs."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=1024 * 1024)
        listener = server.sockets[0]
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            # Python 3.11 loses the socket of a connection that it accepted just before `close`: first no more of them,
            # then the steps of the loop that those already accepted need to become ours to end.
            asyncio.get_running_loop().remove_reader(listener.fileno())
            for _ in range(4):
                await asyncio.sleep(0)
            server.close()
            for task, connection in self._open.items():
                task.cancel()
                connection.reset()
            await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        task = asyncio.get_running_loop().create_task(self._talk(connection))
        self._open[task] = connection
        task.add_done_callback(self._open.pop)

    async def _talk(self, connection: Connection) -> None:
        try:
            while (received := await http.read_request(connection.reader)) is not None:
                await self._serve(received, connection)
        except (Dropped, ConnectionError):
            connection.reset()
        except http.Malformed as exc:
            await connection.answer(400, _JSON, _json_error("invalid_request_error", str(exc)))
        finally:
            connection.writer.close()

    async def _serve(self, received: http.HttpRequest, connection: Connection) -> None:
        request = _messages_request(received)
        self.records.received(received.method, received.target, received.headers, request)
        if request is None:
            await connection.answer(404, _JSON, _not_found(received))
        elif received.path.endswith("/count_tokens"):
            size = max(1, len(received.body) // 4)
            await connection.answer(200, _JSON, json.dumps({"input_tokens": size}).encode())
        else:
            await self._play(request, self.director.cue(request), connection)

    async def _play(self, request: Request, cue: Cue, connection: Connection) -> None:
        await connection.silent(cue.fault.hang)
        model = self.director.scenario.model or request.model
        if cue.fault.status is not None:
            status, headers, body = reply.failure(cue.fault, model)
            self._bill(request, cue, status=status, free=True)
            await connection.answer(status, headers, body)
        elif request.stream:
            await self._stream(request, cue, model, connection)
        else:
            self._bill(request, cue)
            body = json.dumps(reply.message(cue, model)).encode()
            await connection.answer(200, {**_JSON, **cue.turn.headers, **cue.fault.headers}, body)

    async def _stream(self, request: Request, cue: Cue, model: str, connection: Connection) -> None:
        """Billed before the last event is sent, so that a client which has seen it finds it on the bill."""
        told = list(reply.events(cue, model))
        # Inside the first block: of a block that is complete the CLI keeps what it has and does not ask again.
        breaks_at = min(3, len(told) - 2) if _breaks(cue) else -1
        headers = {"content-type": "text/event-stream", "transfer-encoding": "chunked", "cache-control": "no-cache"}
        whole = False
        try:
            await connection.send(http.head(200, {**headers, **cue.turn.headers, **cue.fault.headers}))
            for number, (name, data) in enumerate(told):
                if number == breaks_at:
                    await self._break(cue, connection)
                if name == "content_block_delta":
                    await connection.silent(cue.fault.slow)
                if name == "message_stop":
                    whole = True
                    self._bill(request, cue)
                await connection.send(http.chunk(reply.frame(name, data)))
            await connection.send(http.chunk(b""))
        finally:
            if not whole:
                self._bill(request, cue, cut=True)

    async def _break(self, cue: Cue, connection: Connection) -> None:
        """What goes wrong in the middle of a stream; returns if it only was silent for a while."""
        await connection.silent(cue.fault.hang_mid)
        if cue.fault.sse_error:
            text = reply.frame("error", {"error": {"type": cue.fault.sse_error, "message": cue.fault.message}})
            await connection.send(http.chunk(text) + http.chunk(b""))
        if cue.fault.sse_error or cue.fault.drop:
            raise Dropped

    def _bill(self, request: Request, cue: Cue, *, status: int = 200, free: bool = False, cut: bool = False) -> None:
        usage = cue.usage
        self.records.billed(
            Billed(
                at=moment(),
                conversation=request.conversation,
                model=self.director.scenario.model or request.model,
                input=0 if free else usage.input or 0,
                output=0 if free else 1 if cut else usage.output or 0,
                cache_read=0 if free else usage.cache_read,
                cache_write_5m=0 if free else usage.cache_write_5m,
                cache_write_1h=0 if free else usage.cache_write_1h,
                status=status,
                stream=request.stream,
                side=cue.side,
                cut=cut,
            )
        )


def _breaks(cue: Cue) -> bool:
    return bool(cue.fault.hang_mid or cue.fault.drop or cue.fault.sse_error)


def _messages_request(received: http.HttpRequest) -> Request | None:
    """The parsed request if it is one for the Messages API, else None."""
    if received.method != "POST" or received.path not in ("/v1/messages", "/v1/messages/count_tokens"):
        return None
    try:
        body = json.loads(received.body)
    except ValueError as exc:
        raise http.Malformed(f"the body is not JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise http.Malformed("the body is not a JSON object")
    return Request(body, received.headers.get("x-claude-code-session-id", ""))


def _json_error(kind: str, text: str) -> bytes:
    return json.dumps(reply.error(kind, text)).encode()


def _not_found(received: http.HttpRequest) -> bytes:
    body = _json_error("not_found_error", f"the rehearsal has no {received.method} {received.path}")
    return b"" if received.method == "HEAD" else body
