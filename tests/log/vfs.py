"""A SQLite file system that records every write and fails where a test says so.

It is made with ctypes under the interpreter's own sqlite3: a copy of the default
VFS whose writing methods are ours. What is recorded tells what is on the disk after
a crash at any operation: for a killed process all that was written, after a loss of
power what was synced, and of the rest any part, sector by sector. A sync that fails
loses what it should have synced for good, as Linux does.
"""

import ctypes as c
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from dramaturg.events.log import opening

SECTOR = 512
FULL, WRITE_ERROR, FSYNC_ERROR = 13, 10 | 3 << 8, 10 | 4 << 8
"""SQLITE_FULL, SQLITE_IOERR_WRITE and SQLITE_IOERR_FSYNC."""
After = Literal["kill", "power", "torn"]
"""What ended the process: nothing unsynced is lost, all of it is, or any of it."""

_P, _I, _I64 = c.c_void_p, c.c_int, c.c_int64


class _Methods(c.Structure):
    _fields_ = (
        ("version", _I),
        *((name, _P) for name in ("close", "read", "write", "truncate", "sync")),
        *((f"rest{n}", _P) for n in range(14)),
    )


class _File(c.Structure):
    _fields_ = (("methods", c.POINTER(_Methods)),)


class _Vfs(c.Structure):
    _fields_ = (
        ("version", _I),
        ("file_size", _I),
        ("path_max", _I),
        ("next", _P),
        ("name", c.c_char_p),
        ("data", _P),
        ("open", _P),
        ("delete", _P),
        *((f"rest{n}", _P) for n in range(14)),
    )


_FILE = c.POINTER(_File)
_OPEN = c.CFUNCTYPE(_I, _P, _P, _FILE, _I, _P)
_DELETE = c.CFUNCTYPE(_I, _P, _P, _I)
_WRITE = c.CFUNCTYPE(_I, _FILE, _P, _I, _I64)
_TRUNCATE = c.CFUNCTYPE(_I, _FILE, _I64)
_SYNC = c.CFUNCTYPE(_I, _FILE, _I)


class Op(NamedTuple):
    """One thing that was done to a file."""

    kind: Literal["write", "truncate", "sync", "delete"]
    file: str
    offset: int = 0
    data: bytes = b""
    failed: bool = False


def library() -> Any:
    """Return the SQLite that the interpreter has loaded; skip where it is built in."""
    assert sqlite3.sqlite_version  # so that it is loaded
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        path = line.partition("/")[1] + line.partition("/")[2]
        if "libsqlite3" in Path(path).name:
            return c.CDLL(path)
    pytest.skip("this Python has SQLite built in, where no file system can be added")


class Disk:
    """Records operations, and fails those it is told to."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.failing: Callable[[int, str], int] = lambda _number, _kind: 0
        """Gets the number and the kind of an operation; returns SQLite's error code."""
        self._lock = threading.Lock()

    def do(self, kind: Any, file: str, offset: int = 0, data: bytes = b"") -> int:
        """Note an operation before it is done; return the error it is to end with."""
        with self._lock:
            code = self.failing(len(self.ops), kind)
            self.ops.append(Op(kind, file, offset, data, code != 0))
            return code

    def image(
        self, until: int, after: After, draw: random.Random
    ) -> dict[str, bytearray]:
        """Return the files as they are after a crash just before operation `until`."""
        files = _Files()
        for op in self.ops[:until]:
            if op.kind == "delete":
                files.delete(op.file)
            elif op.kind == "sync":
                files.sync(op.file, lost=op.failed)
            elif not op.failed:
                files.change(op)
        return files.left(after, draw)


class _Files:
    """What is in the page cache, and what has reached the disk."""

    def __init__(self) -> None:
        self.cached: dict[str, bytearray] = {}
        self.synced: dict[str, bytearray] = {}
        self.unsynced: dict[str, list[Op]] = {}

    def change(self, op: Op) -> None:
        _apply(self.cached.setdefault(op.file, bytearray()), op)
        self.synced.setdefault(op.file, bytearray())
        self.unsynced.setdefault(op.file, []).append(op)

    def sync(self, file: str, *, lost: bool) -> None:
        for op in self.unsynced.pop(file, ()):
            if not lost:
                _apply(self.synced[file], op)

    def delete(self, file: str) -> None:
        self.cached.pop(file, None)
        self.synced.pop(file, None)
        self.unsynced.pop(file, None)

    def left(self, after: After, draw: random.Random) -> dict[str, bytearray]:
        if after == "kill":
            return self.cached
        if after == "torn":
            for file, ops in self.unsynced.items():
                for part in (part for op in ops for part in _sectors(op)):
                    if draw.random() < 0.5:
                        _apply(self.synced[file], part)
        return self.synced


def _sectors(op: Op) -> Iterator[Op]:
    if op.kind == "truncate":
        yield op
    for begin in range(0, len(op.data), SECTOR):
        part = op.data[begin : begin + SECTOR]
        yield op._replace(offset=op.offset + begin, data=part)


def _apply(content: bytearray, op: Op) -> None:
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    if op.kind == "truncate":
        del content[op.offset :]
    else:
        content[op.offset : op.offset + len(op.data)] = op.data


class _Faulty:
    """The VFS: everything it hands to SQLite is kept, for SQLite keeps no references."""

    def __init__(self, sqlite: Any, disk: Disk) -> None:
        sqlite.sqlite3_vfs_find.restype = c.POINTER(_Vfs)
        self.base = sqlite.sqlite3_vfs_find(None)
        self._disk = disk
        self._names: dict[int, str] = {}
        self._wrapped: dict[int, _Methods] = {}
        self._kept: list[Any] = []
        self.vfs = _Vfs()
        c.memmove(c.byref(self.vfs), self.base, c.sizeof(_Vfs))
        self.vfs.name = b"faulty"
        self._open = _OPEN(self.base.contents.open)
        self._delete = _DELETE(self.base.contents.delete)
        self.vfs.open = self._keep(_OPEN(self._on_open))
        self.vfs.delete = self._keep(_DELETE(self._on_delete))

    def _keep(self, function: Any) -> Any:
        self._kept.append(function)
        return c.cast(function, _P).value

    def _on_open(self, vfs: Any, name: Any, file: Any, flags: int, out: Any) -> int:
        code = int(self._open(vfs, name, file, flags, out))
        if code == 0 and name and file.contents.methods:
            path = c.string_at(name).decode()
            self._names[c.addressof(file.contents)] = os.path.basename(path)  # noqa: PTH119 - no more than that
            file.contents.methods = c.pointer(self._methods(file.contents.methods))
        return code

    def _on_delete(self, vfs: Any, name: Any, sync: int) -> int:
        path = c.string_at(name).decode()
        code = self._disk.do("delete", os.path.basename(path))  # noqa: PTH119 - as above
        return code or int(self._delete(vfs, name, sync))

    def _methods(self, base: Any) -> _Methods:
        address = c.addressof(base.contents)
        if address in self._wrapped:
            return self._wrapped[address]
        own = self._wrapped[address] = _Methods()
        c.memmove(c.byref(own), base, c.sizeof(_Methods))
        write, truncate = _WRITE(own.write), _TRUNCATE(own.truncate)
        sync = _SYNC(own.sync)
        self._kept += [write, truncate, sync]

        def on_write(file: Any, data: Any, size: int, offset: int) -> int:
            code = self._do(file, "write", offset, c.string_at(data, size))
            return code or int(write(file, data, size, offset))

        def on_truncate(file: Any, size: int) -> int:
            return self._do(file, "truncate", size) or int(truncate(file, size))

        def on_sync(file: Any, flags: int) -> int:
            return self._do(file, "sync") or int(sync(file, flags))

        own.write = self._keep(_WRITE(on_write))
        own.truncate = self._keep(_TRUNCATE(on_truncate))
        own.sync = self._keep(_SYNC(on_sync))
        return own

    def _do(self, file: Any, kind: str, offset: int = 0, data: bytes = b"") -> int:
        name = self._names[c.addressof(file.contents)]
        return self._disk.do(kind, name, offset, data)


@contextmanager
def faulty_disk() -> Generator[Disk]:
    """Let every SQLite file that is opened meanwhile be on a disk of ours."""
    sqlite, disk = library(), Disk()
    faulty = _Faulty(sqlite, disk)
    assert sqlite.sqlite3_vfs_register(c.byref(faulty.vfs), 1) == 0
    patch = pytest.MonkeyPatch()
    patch.setattr(opening, "_write_again", _recorded(disk))
    try:
        yield disk
    finally:
        patch.undo()
        assert sqlite.sqlite3_vfs_register(faulty.base, 1) == 0
        assert sqlite.sqlite3_vfs_unregister(c.byref(faulty.vfs)) == 0


def _recorded(disk: Disk) -> Callable[[Path], None]:
    """Note what the log writes without SQLite: its WAL, over itself."""
    write_again = opening._write_again  # pyright: ignore[reportPrivateUsage]

    def recorded(path: Path) -> None:
        if path.exists():
            for kind, data in (("write", path.read_bytes()), ("sync", b"")):
                if disk.do(kind, path.name, 0, data):
                    raise OSError(5, "Input/output error")
        write_again(path)

    return recorded
