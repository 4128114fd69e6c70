"""Splits a shell script into the simple commands it would run, as far as that can be known without running it.

Used by the policy only. A word that depends on an expansion is Dynamic: it may become anything. What cannot be split
raises Unsplittable, and the policy denies it (contract 8).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

MAX_DEPTH = 12
_OPERATORS = ("&&", "||", ";;", "|&", "|", ";", "&", "\n", "(", ")")
_REDIRECTS = ("<<<", "<<-", "<<", ">>", ">|", "<>", "<&", ">&", ">", "<")


class Unsplittable(ValueError):
    """The text is no complete shell script, or nested too deeply."""


class Word(str):
    """One word after quote removal. `dynamic` = it holds an expansion, so its value is known to the shell only."""

    __slots__ = ("dynamic",)
    dynamic: bool

    def __new__(cls, text: str, *, dynamic: bool = False) -> Self:
        word = super().__new__(cls, text)
        word.dynamic = dynamic
        return word


@dataclass(slots=True)
class Simple:
    """A simple command: its words, whether its input comes from a pipe, and the text of its here-documents."""

    words: list[Word] = field(default_factory=list)
    piped: bool = False
    documents: list[str] = field(default_factory=list)


def simple_commands(script: str, depth: int = 0) -> list[Simple]:
    """Every simple command of a script, those of substitutions and subshells included. Raises Unsplittable."""
    if depth > MAX_DEPTH:
        raise Unsplittable("nested too deeply")
    return _Scanner(script, depth).run()


class _Scanner:
    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.at = 0
        self.depth = depth
        self.found: list[Simple] = []
        self.current = Simple()
        self.documents: list[tuple[str, Simple, bool]] = []

    def run(self) -> list[Simple]:
        while self.at < len(self.text):
            self._step()
        if self.documents:
            raise Unsplittable("a here-document has no end")
        self._finish(piped=False)
        return self.found

    def _step(self) -> None:
        char = self.text[self.at]
        if self.text.startswith("\\\n", self.at):
            self.at += 2
        elif char in " \t\r":
            self.at += 1
        elif char == "#":
            self._comment()
        elif redirect := self._one_of(_REDIRECTS):
            self._redirect(redirect)
        elif operator := self._one_of(_OPERATORS):
            self._operator(operator)
        else:
            self._add(self._word())

    def _one_of(self, choices: tuple[str, ...]) -> str | None:
        return next((choice for choice in choices if self.text.startswith(choice, self.at)), None)

    def _comment(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _operator(self, operator: str) -> None:
        self.at += len(operator)
        self._finish(piped=operator in ("|", "|&"))
        if operator == "\n" and self.documents:
            self._read_documents()

    def _finish(self, *, piped: bool) -> None:
        if self.current.words:
            self.found.append(self.current)
        self.current = Simple(piped=piped)

    def _add(self, word: Word) -> None:
        if word in ("{", "}", "!", "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "time") and not (
            self.current.words
        ):
            return
        self.current.words.append(word)

    def _redirect(self, operator: str) -> None:
        self.at += len(operator)
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1
        if self.current.words and self.current.words[-1].isdigit() and not self.current.words[-1].dynamic:
            self.current.words.pop()
        quoted = self.at < len(self.text) and self.text[self.at] in "'\"\\"
        target = self._word() if operator not in ("<&", ">&") else self._descriptor()
        if operator == "<<<":
            self.current.documents.append(target)
        elif operator.startswith("<<"):
            self.documents.append((target, self.current, quoted))

    def _descriptor(self) -> Word:
        return self._word() if self.at < len(self.text) and self.text[self.at] not in "-\n;&|" else self._dash()

    def _dash(self) -> Word:
        self.at += 1
        return Word("-")

    def _read_documents(self) -> None:
        for mark, command, quoted in self.documents:
            lines = []
            while True:
                if self.at >= len(self.text):
                    raise Unsplittable("a here-document has no end")
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line, self.at = self.text[self.at : end], min(end + 1, len(self.text))
                if line.strip("\t") == mark or line.rstrip(")`\"' ") == mark:
                    break
                lines.append(line)
            body = "\n".join(lines)
            command.documents.append(body)
            if not quoted:
                self._substitutions(body)
        self.documents.clear()

    def _substitutions(self, body: str) -> None:
        """Substitutions inside an unquoted here-document run as well."""
        inner = _Scanner(body, self.depth)
        while inner.at < len(body):
            if inner.text.startswith(("$(", "`"), inner.at):
                inner._expansion()
            else:
                inner.at += 2 if inner.text[inner.at] == "\\" else 1
        self.found.extend(inner.found)

    def _word(self) -> Word:
        parts: list[str] = []
        dynamic = False
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in " \t\r\n;&|()<>":
            char = self.text[self.at]
            if char == "'":
                parts.append(self._single())
            elif char == '"':
                text, expanded = self._double()
                parts.append(text)
                dynamic |= expanded
            elif char == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2].replace("\n", ""))
                self.at += 2
            elif char in "$`":
                parts.append(self._expansion())
                dynamic = True
            else:
                dynamic |= char in "*?[" or (char == "~" and self.at == start)
                parts.append(char)
                self.at += 1
        if self.at == start:
            raise Unsplittable(f"a word is missing at {start}")
        return Word("".join(parts), dynamic=dynamic)

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise Unsplittable("a single quote is open")
        text, self.at = self.text[self.at + 1 : end], end + 1
        return text

    def _double(self) -> tuple[str, bool]:
        self.at += 1
        parts: list[str] = []
        dynamic = False
        while True:
            if self.at >= len(self.text):
                raise Unsplittable("a double quote is open")
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return "".join(parts), dynamic
            if char == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif char in "$`":
                parts.append(self._expansion())
                dynamic = True
            else:
                parts.append(char)
                self.at += 1

    def _expansion(self) -> str:
        start = self.at
        if self.text[start] == "`":
            end = self.text.find("`", start + 1)
            if end < 0:
                raise Unsplittable("a backquote is open")
            self._nested(self.text[start + 1 : end])
            self.at = end + 1
        elif self.text.startswith("$'", start):
            self.at += 1
            return self._single()
        elif self.text.startswith("$((", start):
            self.at = self._closing(start + 1) + 1
        elif self.text.startswith("$(", start):
            end = self._closing(start + 1)
            self._nested(self.text[start + 2 : end])
            self.at = end + 1
        elif self.text.startswith("${", start):
            end = self.text.find("}", start)
            if end < 0:
                raise Unsplittable("a parameter expansion is open")
            self.at = end + 1
        else:
            self.at += 1
            while self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] in "_@*#?!$"):
                self.at += 1
        return self.text[start : self.at]

    def _nested(self, script: str) -> None:
        self.found.extend(simple_commands(script, self.depth + 1))

    def _closing(self, opening: int) -> int:
        """Index of the parenthesis that closes the one at `opening`, quotes and here-documents respected."""
        depth = 0
        at = opening
        while at < len(self.text):
            char = self.text[at]
            if char == "\\":
                at += 1
            elif char in "'\"":
                at = self._skip_quote(at)
            elif self.text.startswith("<<", at) and not self.text.startswith("<<<", at):
                at = self._skip_document(at)
            elif char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if depth == 0:
                    return at
            at += 1
        raise Unsplittable("a parenthesis is open")

    def _skip_quote(self, at: int) -> int:
        quote = self.text[at]
        at += 1
        while at < len(self.text) and self.text[at] != quote:
            if quote == '"' and self.text[at] == "\\":
                at += 1
            elif quote == '"' and self.text.startswith("$(", at):
                at = self._closing(at + 1)
            at += 1
        if at >= len(self.text):
            raise Unsplittable("a quote is open")
        return at

    def _skip_document(self, at: int) -> int:
        inner = _Scanner(self.text, self.depth)
        inner.at = at + (3 if self.text.startswith("<<-", at) else 2)
        while inner.at < len(self.text) and self.text[inner.at] in " \t":
            inner.at += 1
        mark = inner._word()
        for start, line in _lines(self.text, inner.at):
            if line.strip("\t") == mark:
                return start + len(line) - 1
        raise Unsplittable("a here-document has no end")


def _lines(text: str, at: int) -> Iterator[tuple[int, str]]:
    """Each line after the one that `at` is in, with its start."""
    at = text.find("\n", at)
    while at >= 0:
        end = text.find("\n", at + 1)
        yield at + 1, text[at + 1 : end if end >= 0 else len(text)]
        at = end
