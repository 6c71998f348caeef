"""The host's end of the control channel: bytes become records, records become bytes (kernel/shared/control.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from goanna.kernel.shared import control
from goanna.layouts import packed, size_of, unpacked


@dataclass(frozen=True)
class Record:
    """A record as it came: its kind, and its payload unread."""

    kind: int
    payload: bytes


class RecordReader:
    """Cuts a stream into records. What is after the last whole record waits for the rest."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that are whole now."""
        self._pending += data
        header_size = size_of(control.RecordHeader)
        while len(self._pending) >= header_size:
            header = unpacked(control.RecordHeader, bytes(self._pending[:header_size]))
            end = header_size + header.length
            if len(self._pending) < end:
                return
            record = Record(header.kind, bytes(self._pending[header_size:end]))
            del self._pending[:end]
            yield record


def record(kind: int, payload: bytes = b"") -> bytes:
    """A record's bytes. Raises OverflowError for a payload over 65,535 bytes."""
    return packed(control.RecordHeader, kind=kind, length=len(payload)) + payload


def signal_record(number: int) -> bytes:
    """Asks the guest to send its program a signal, by Linux's number."""
    return record(control.SIGNAL, packed(control.Signal, number=number))


def window_record(size: Sequence[int]) -> bytes:
    """Tells the guest the size of the terminal's window: rows, columns, pixels across and down."""
    rows, columns, width, height = size
    return record(control.WINDOW, packed(control.Window, rows=rows, columns=columns, width=width, height=height))


def host_record(said: str) -> bytes:
    """Tells the guest NAME@ADDRESS of another machine, or NAME of one that is there no more."""
    return record(control.HOST, said.encode())


def input_end_record(count: int) -> bytes:
    """Tells the guest that the console's input ended after `count` bytes."""
    return record(control.INPUT_END, packed(control.InputEnd, count=count))
