"""What has no place in a seeded loop: the outside world and threads."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NoReturn

from ..actors.runtime.driven import DrivenLoop
from .errors import UnseededError


def _refused(name: str) -> Any:
    """Return a method that refuses."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise UnseededError(f"{name}()")

    return refuse


class NoOutside(asyncio.AbstractEventLoop):
    """The methods of an event loop that reach outside; all of them refuse."""

    add_reader = _refused("add_reader")
    add_signal_handler = _refused("add_signal_handler")
    add_writer = _refused("add_writer")
    connect_accepted_socket = _refused("connect_accepted_socket")
    connect_read_pipe = _refused("connect_read_pipe")
    connect_write_pipe = _refused("connect_write_pipe")
    create_connection = _refused("create_connection")
    create_datagram_endpoint = _refused("create_datagram_endpoint")
    create_server = _refused("create_server")
    create_unix_connection = _refused("create_unix_connection")
    create_unix_server = _refused("create_unix_server")
    getaddrinfo = _refused("getaddrinfo")
    getnameinfo = _refused("getnameinfo")
    remove_signal_handler = _refused("remove_signal_handler")
    remove_reader = _refused("remove_reader")
    remove_writer = _refused("remove_writer")
    run_in_executor = _refused("run_in_executor")
    sendfile = _refused("sendfile")
    set_default_executor = _refused("set_default_executor")
    sock_accept = _refused("sock_accept")
    sock_connect = _refused("sock_connect")
    sock_recv = _refused("sock_recv")
    sock_recv_into = _refused("sock_recv_into")
    sock_recvfrom = _refused("sock_recvfrom")
    sock_recvfrom_into = _refused("sock_recvfrom_into")
    sock_sendall = _refused("sock_sendall")
    sock_sendfile = _refused("sock_sendfile")
    sock_sendto = _refused("sock_sendto")
    start_tls = _refused("start_tls")
    subprocess_exec = _refused("subprocess_exec")
    subprocess_shell = _refused("subprocess_shell")


class _Guard:
    """Stands before `threading.Thread.start` while any virtual loop runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loops = 0
        self._start = threading.Thread.start

    def enter(self) -> None:
        with self._lock:
            self._loops += 1
            if self._loops == 1:
                self._start = start = threading.Thread.start

                def refuse(thread: threading.Thread, *args: Any) -> None:
                    if isinstance(running_loop(), DrivenLoop):
                        raise UnseededError(f"the thread {thread.name!r}")
                    start(thread, *args)

                threading.Thread.start = refuse  # type: ignore[method-assign, assignment]

    def leave(self) -> None:
        with self._lock:
            self._loops -= 1
            if not self._loops:
                threading.Thread.start = self._start  # type: ignore[method-assign]


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_guard = _Guard()


@contextmanager
def no_threads() -> Generator[None]:
    """Refuse to start threads from callbacks of a driven loop, and from nowhere else.

    Nobody asks the loop before starting one, so `threading` itself is changed while
    the block lasts, and as it was afterwards.
    """
    _guard.enter()
    try:
        yield
    finally:
        _guard.leave()
