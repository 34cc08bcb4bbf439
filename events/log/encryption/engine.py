"""Encrypts what a log's writing thread is about to commit, if the log has keys."""

from collections.abc import Sequence

import msgspec

from ..api import Appended, Context, Snapshot, StreamAppend
from ..document import split
from ..engine import Committer, Engine
from ..errors import LogError, LogUnavailableError
from ..outcomes import Outcome
from ..pending import Pending
from .ciphertext import place_of_event, place_of_snapshot
from .event import MARK, STREAM, EncryptionBegan
from .keyring import SNAPSHOTS, KeyMissingError, Keyring

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EncryptionBegan).decode


class KeyedEngine:
    """An `Engine` that knows whether its log is encrypted; else the engine below.

    Opened without a `keyring` it refuses a log whose events are encrypted, since what
    would be written could never be erased; with one it encrypts, and refuses a log
    that was encrypted by the keys of another file.
    """

    def __init__(self, engine: Engine, keyring: Keyring | None) -> None:
        self._keyring = keyring
        self._engine = engine
        self.name = engine.name
        self.lull = engine.lull
        self.removals = engine.removals
        self.lock = engine.lock
        self.close = engine.close
        self.unlock = engine.unlock
        self.opening_error = engine.opening_error

    def open(self, acknowledged: int | None) -> Committer:
        """Open the store and begin an epoch. Raises `KeyMissingError`, too."""
        return keyed(self._engine.open(acknowledged), self._keyring, self.name)


def keyed(committer: Committer, keyring: Keyring | None, name: str) -> Committer:
    """Return who commits to the log `name`, and encrypts if there is a keyring.

    Raises `KeyMissingError` if the log is encrypted and the keyring is not its own.
    """
    if keyring is not None:
        return EncryptingCommitter(committer, keyring)
    for stream in (MARK, STREAM):
        if committer.last_document(stream) is not None:
            raise KeyMissingError(
                f"{name} holds events that are encrypted, as {stream} says, and no "
                "key file was named: open it with the keyring of the log "
                "(`keys.jsonl` or a link to it beside the file), for what is written "
                "without could never be erased",
            )
    return committer


class EncryptingCommitter:
    """Encrypts the events of owners, and all snapshots, and has them committed.

    This is in the writer's thread, since a new key has to be durable before the
    events it is for, and because the digest is of what is stored. With the first
    event that it encrypts goes the mark that the log has from then on. Raises
    `KeyMissingError` if the log has the mark of another key file.
    """

    def __init__(self, committer: Committer, keyring: Keyring) -> None:
        self._committer = committer
        self._keyring = keyring
        self._marked = self._is_marked()
        self.epoch = committer.epoch
        self.last_document = committer.last_document
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
        owned = [
            pending
            for pending in appends
            if pending.datas and any(context.owner for context in pending.contexts)
        ]
        try:
            for pending in owned:
                self._encrypt(pending)
            snapshots = list(map(self._snapshot, snapshots))
            if owned and not self._marked:
                self._marked = self._is_marked()  # another node may have written it
        except LogUnavailableError:
            raise
        except LogError as error:
            raise LogUnavailableError(str(error)) from error
        if self._marked or not owned:
            return self._committer.commit(appends, snapshots)
        first = next(each for each in owned[0].contexts if each.owner)
        mark = self._mark(first)
        outcomes = self._committer.commit([*appends, mark], snapshots)
        _, outcome = outcomes.pop()
        self._marked = isinstance(outcome, Appended)
        return outcomes

    def _is_marked(self) -> bool:
        document = self._committer.last_document(MARK)
        if document is None:
            return False
        key = _decode(split(document)[1]).key
        if not self._keyring.knows(key):
            raise KeyMissingError(
                f"the log is encrypted by a key file that holds the key {key}, and "
                f"{self._keyring.path} does not: put the key file of the log there",
            )
        return True

    def _mark(self, context: Context) -> Pending:
        event = EncryptionBegan(self._keyring.names(context.owner)[-1])
        append = StreamAppend(MARK, 0, (event,))
        context = Context(at_us=context.at_us)
        data = [_encode(event)]
        return Pending([append], context, lambda _: None, (), None, data)

    def _encrypt(self, pending: Pending) -> None:
        datas, stored = iter(pending.datas), list[bytes]()
        for append, context in zip(pending.streams, pending.contexts, strict=True):
            for version, event in enumerate(append.events, append.expected + 1):
                data = next(datas)
                if context.owner:
                    place = place_of_event(append.stream, version, event.tag)
                    data = self._keyring.encrypt(context.owner, data, place)
                stored.append(data)
        pending.datas = stored

    def _snapshot(self, snapshot: Snapshot) -> Snapshot:
        place = place_of_snapshot(
            snapshot.stream, snapshot.version, snapshot.fold_version
        )
        state = self._keyring.encrypt(SNAPSHOTS, snapshot.state, place)
        return msgspec.structs.replace(snapshot, state=state)
