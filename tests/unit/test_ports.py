"""Ports of their own: unique among what lives, free on loopback, stable for as long as nobody else took them (C17)."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from harness.model.errors import Refused
from harness.proc.ports import FIRST, LAST, Ports, is_free


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made


def listening(port: int) -> socket.socket:
    opened = socket.socket()
    opened.bind(("127.0.0.1", port))
    opened.listen()
    return opened


def test_no_port_is_given_twice_and_each_keeps_its_own(tmp_path: Path) -> None:
    book = Ports(tmp_path / "ports.json")
    one, other = folder(tmp_path, "one"), folder(tmp_path, "other")
    first = book.take(one, 3)
    second = Ports(tmp_path / "ports.json").take(other, 3)
    assert len({*first, *second}) == 6
    assert all(FIRST <= port <= LAST for port in (*first, *second))
    assert book.take(one, 3) == first
    assert book.take(one, 2) == first[:2]


def test_a_port_that_somebody_listens_on_is_given_to_nobody(tmp_path: Path) -> None:
    book, one = Ports(tmp_path / "ports.json"), folder(tmp_path, "one")
    (port,) = book.take(one, 1)
    assert is_free(port)
    with listening(port):
        assert not is_free(port)
        (instead,) = book.take(one, 1)
        assert instead != port


def test_ports_of_a_folder_that_is_gone_are_free_again(tmp_path: Path) -> None:
    book, one, other = Ports(tmp_path / "ports.json"), folder(tmp_path, "one"), folder(tmp_path, "other")
    theirs = book.take(one, 1)
    assert book.take(other, 1) != theirs
    (tmp_path / "ports.json").write_text(json.dumps({str(one): list(range(FIRST, LAST + 1))}))
    third = folder(tmp_path, "third")
    with pytest.raises(Refused, match="2 ports are wanted"):
        book.take(third, 2)
    one.rmdir()
    assert len(book.take(third, 2)) == 2


def test_a_book_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("[]")
    assert len(Ports(tmp_path / "ports.json").take(folder(tmp_path, "one"), 1)) == 1


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    assert Ports(tmp_path / "ports.json").take(tmp_path, 0) == ()
    assert list(tmp_path.iterdir()) == []
