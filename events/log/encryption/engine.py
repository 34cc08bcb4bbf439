"""Encrypts what a log's writing thread is about to commit."""

from collections.abc import Sequence

import msgspec

from ..api import Snapshot
from ..engine import Committer, Engine
from ..outcomes import Outcome
from ..pending import Pending
from .ciphertext import place_of_event, place_of_snapshot
from .keyring import SNAPSHOTS, Keyring


class EncryptingEngine:
    """An `Engine` whose committers encrypt; everything else is the engine's below."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self._keyring = keyring
        self._engine = engine
        self.name = engine.name
        self.lock = engine.lock
        self.close = engine.close
        self.unlock = engine.unlock
        self.opening_error = engine.opening_error

    def open(self, acknowledged: int | None) -> "EncryptingCommitter":
        """Open the store and begin an epoch."""
        return EncryptingCommitter(self._engine.open(acknowledged), self._keyring)


class EncryptingCommitter:
    """Encrypts the events of owners, and all snapshots, and has them committed.

    This is in the writer's thread, since a new key has to be durable before the
    events it is for, and because the digest is of what is stored.
    """

    def __init__(self, committer: Committer, keyring: Keyring) -> None:
        self._committer = committer
        self._keyring = keyring
        self.epoch = committer.epoch
        self.rest = committer.rest

    @property
    def digests(self) -> Sequence[bytes]:
        """Those of the events of the last group."""
        return self._committer.digests

    @property
    def position(self) -> int:
        """The last durable position."""
        return self._committer.position

    def commit(
        self, appends: Sequence[Pending], snapshots: Sequence[Snapshot]
    ) -> list[Outcome]:
        """Write a group durably; raises `LogUnavailableError` for want of a key, too."""
        for pending in appends:
            if pending.context.owner and pending.datas:
                self._encrypt(pending)
        return self._committer.commit(appends, list(map(self._snapshot, snapshots)))

    def _encrypt(self, pending: Pending) -> None:
        owner, datas = pending.context.owner, iter(pending.datas)
        pending.datas = [
            self._keyring.encrypt(
                owner, next(datas), place_of_event(append.stream, version, event.tag)
            )
            for append in pending.streams
            for version, event in enumerate(append.events, append.expected + 1)
        ]

    def _snapshot(self, snapshot: Snapshot) -> Snapshot:
        place = place_of_snapshot(
            snapshot.stream, snapshot.version, snapshot.fold_version
        )
        state = self._keyring.encrypt(SNAPSHOTS, snapshot.state, place)
        return msgspec.structs.replace(snapshot, state=state)
