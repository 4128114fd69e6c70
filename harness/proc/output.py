"""Where an agent's output goes: onwards as it came, and to disk capped, redacted and with the time of each line.

Standard library only: agent-init runs on this.
"""

from __future__ import annotations

import contextlib
import json
import os
import select

from harness.model.redact import Redactor
from harness.proc.procfs import timestamp

TYPE_CHECKING = False  # importing typing costs as much as everything else here together

WHOLE_LINE = 1 << 20  # longer lines are not held back for a look at their end
PARSED_LINE = 1 << 16  # longer lines are judged by their first and last byte
TAIL = 1 << 16
ASCII = bytes(range(128)) + b"?" * 128


class CappedFile:
    """An append-only file that never grows beyond `limit` bytes.

    A record that does not fit, or fails for want of space, is taken back whole, so that lines are never torn. What
    comes after the limit is dropped except its last TAIL bytes (with `lines`: of whole lines), which `close` adds: the
    end of an output explains most.
    """

    def __init__(self, path: str, limit: int, mark: bytes, *, lines: bool) -> None:
        self.lines = lines
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.mark = mark
        self.tail_size = min(TAIL, limit // 4)
        self.limit = limit - self.tail_size - len(mark.replace(b"<now>", timestamp().encode()))
        self.size = self.pending = self.lost = 0
        self.full = self.skipping = self.inside = False
        self.error = ""
        self.tail = b""

    def add(self, piece: bytes, *, last: bool = True) -> None:
        """Add a piece of a record; `last` ends the record."""
        whole, self.inside = last and not self.inside, not last
        if not self.full and self.size + self.pending + len(piece) > self.limit:
            self._take_back()
            self._write(self.mark.replace(b"<now>", timestamp().encode()))
            self.full = True
        if not self.full and not self.skipping:
            self._write(piece)
        elif self.full and whole:
            self._remember(piece)
        if last:
            self.size, self.pending, self.skipping = self.size + self.pending, 0, False

    def _remember(self, record: bytes) -> None:
        self.tail += record
        excess = len(self.tail) - self.tail_size
        if excess > 0:
            self.tail = self.tail[self.tail.find(b"\n", excess - 1) + 1 if self.lines else excess :]

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        try:
            while view:
                done = os.write(self.file, view)
                self.pending += done
                view = view[done:]
        except OSError as exc:
            self.error = exc.strerror or str(exc)
            self.lost += 1
            self.skipping = True
            self._take_back()

    def _take_back(self) -> None:
        if self.pending:
            with contextlib.suppress(OSError):
                os.ftruncate(self.file, os.fstat(self.file).st_size - self.pending)
        self.pending = 0

    def close(self) -> None:
        if self.full:
            self._write(self.tail)
        os.close(self.file)


class TextLog:
    """A plain copy."""

    MARK = b"\n[log limit reached: the rest is left out, except its end]\n"

    def __init__(self, path: str, limit: int, redactor: Redactor) -> None:
        self.file = CappedFile(path, limit, self.MARK, lines=False)
        self.redactor = redactor
        self.held = b""

    def feed(self, chunk: bytes) -> None:
        data = self.redactor.apply(self.held + chunk)
        keep = len(data) - self.redactor.undecided(data)
        self.held = data[keep:]
        if keep:
            self.file.add(data[:keep])

    def close(self) -> None:
        if self.held:
            self.file.add(self.held)
        self.file.close()


class FrameLog:
    """One JSON object a line with the time spliced in as `_at`; any other line becomes `{"_at", "_raw"}`.

    A line up to WHOLE_LINE bytes is judged and written whole. A longer one is streamed if it looks like an object, else
    its beginning is kept, so memory does not grow with the line.
    """

    MARK = b'{"_at":"<now>","_truncated":true}\n'

    def __init__(self, path: str, limit: int, redactor: Redactor) -> None:
        self.file = CappedFile(path, limit, self.MARK, lines=True)
        self.redactor = redactor
        self.line = bytearray()
        self.long = ""

    def feed(self, chunk: bytes) -> None:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self.line += piece
            self._end_line()
        self.line += rest
        if len(self.line) > WHOLE_LINE:
            self._go_on()

    def _end_line(self) -> None:
        line = bytes(self.line)
        self.line.clear()
        if self.long == "object":
            self.file.add(self.redactor.apply(line) + b"\n")
        elif not self.long:
            self.file.add(self.redactor.apply(splice(line) if is_object(line) else wrap(line)) + b"\n")
        self.long = ""

    def _go_on(self) -> None:
        """Write what is decided of a line that is too long to hold back."""
        line = bytes(self.line)
        self.line.clear()
        if not self.long:
            self.long = "object" if line.lstrip().startswith(b'{"') else "raw"
            if self.long == "raw":
                beginning = line[: len(line) - self.redactor.undecided(line)]
                self.file.add(self.redactor.apply(wrap(beginning, cut=True)) + b"\n")
            else:
                line = splice(line)
        if self.long == "object":
            line = self.redactor.apply(line)
            keep = len(line) - self.redactor.undecided(line)
            self.line += line[keep:]
            self.file.add(line[:keep], last=False)

    def close(self) -> None:
        if self.line or self.long == "object":
            self._end_line()
        self.file.close()


def is_object(line: bytes) -> bool:
    bare = line.strip()
    if not (bare.startswith(b"{") and bare.endswith(b"}")):
        return False
    if len(bare) > PARSED_LINE:
        return True
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def splice(line: bytes) -> bytes:
    head, brace, rest = line.partition(b"{")
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return b'%b%b"_at":"%b"%b%b' % (head, brace, timestamp().encode(), comma, rest)


def wrap(line: bytes, *, cut: bool = False) -> bytes:
    frame = {"_at": timestamp(), "_raw": line.decode(errors="replace")} | ({"_cut": True} if cut else {})
    return json.dumps(frame, ensure_ascii=False).encode()


class Onward:
    """Our stdout. Never blocks: a pipe that polls writable takes PIPE_BUF bytes. What nobody reads is dropped.

    With `frames`, a line over WHOLE_LINE bytes goes on in ASCII, every byte beyond it as `?`: a single wide character
    would make our reader hold the whole line at four bytes a character, three times over.
    """

    def __init__(self, *, frames: bool = False) -> None:
        self.frames = frames
        self.open = True
        self.buffer = bytearray()
        self.held = bytearray()
        self.long = False

    def feed(self, chunk: bytes) -> None:
        if self.open:
            self.buffer += self._decided(chunk) if self.frames else chunk

    def _decided(self, chunk: bytes) -> bytes:
        """What can go on now: lines that have ended, and what there is of a long one. The rest is held."""
        ready = b""
        if self.long:
            line, newline, chunk = chunk.partition(b"\n")
            ready = line.translate(ASCII) + newline
            self.long = not newline
        self.held += chunk
        end = self.held.rfind(b"\n") + 1
        if not end and len(self.held) > WHOLE_LINE:
            end, self.long = len(self.held), True
        ended = bytes(self.held[:end])
        del self.held[:end]
        return ready + (ended.translate(ASCII) if self.long else ended)

    def write(self) -> None:
        try:
            del self.buffer[: os.write(1, self.buffer[: select.PIPE_BUF])]
        except OSError:
            self.open = False
            self.buffer.clear()

    def finish(self, patience_seconds: float) -> None:
        """Hand over what is left, for as long as somebody takes it."""
        self.buffer += self.held
        poll = select.poll()
        poll.register(1, select.POLLOUT)
        while self.buffer and poll.poll(patience_seconds * 1000):
            self.write()
