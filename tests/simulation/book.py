"""What is durable, as independent models have it; fed append by append."""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from .breaker import BreakerModel
from .items import ItemModel, StageRule
from .letters import LetterModel
from .promise import Row, holds
from .redrives import RedriveModel
from .transactions import TransactionModel

ENCODER = msgspec.json.Encoder(order="deterministic")


class Book:
    """Models of everything in the log, and the laws that hold between them."""

    def __init__(self, stages: tuple[StageRule, ...], permitted: int) -> None:
        self._stages = stages
        self._permitted = permitted
        self.items: dict[str, ItemModel] = {}
        self.letters: dict[str, LetterModel] = {}
        self.transactions: dict[str, TransactionModel] = {}
        self.breakers: dict[str, BreakerModel] = {}
        self.redrives = RedriveModel()
        self.failed: dict[int, int] = {}
        """Failures of calls that began in each generation of the breaker."""
        self.versions: dict[str, int] = {}
        self.keys: dict[tuple[str, str], str] = {}
        """The stream that each idempotency key began."""
        self.rows = 0
        self.committed = 0
        self.chain = blake2b(digest_size=16)
        """Over all that became durable: tells whether history was changed."""

    def append(self, rows: Sequence[Row]) -> None:
        """Take what one append has made durable: all of it is true at once."""
        for row in rows:
            self._take(row)
        for row in rows:
            self.redrives.check(row)
        for stream in dict.fromkeys(row.stream for row in rows):
            self._check(stream)

    def _take(self, row: Row) -> None:
        self.rows += 1
        holds(row.position == self.rows, 7, row, f"{self.rows} is the next position")
        version = self.versions.get(row.stream, 0) + 1
        holds(row.version == version, 7, row, f"{version} is the next version")
        holds(row.committed >= self.committed, 7, row, "time went back")
        self.versions[row.stream], self.committed = version, row.committed
        self.chain.update(digest_of(row))
        self.redrives.take(row)
        kind = row.stream.partition("/")[0]
        model = self.model(row.stream)
        if model is None:
            return
        model.take(row)
        if version == 1 and kind in {"item", "transaction"}:
            self._begin(row)

    def _begin(self, row: Row) -> None:
        """Two pieces of work never begin with one key."""
        key = row.data.get("key", "")
        if not key:
            return
        name = row.stream.rpartition("/")[0], key
        known = self.keys.setdefault(name, row.stream)
        holds(known == row.stream, 5, row, f"{known} began with the same key")

    def model(
        self, stream: str
    ) -> ItemModel | LetterModel | TransactionModel | BreakerModel | None:
        """Return the model of a stream, which it may begin."""
        match stream.partition("/")[0]:
            case "item":
                if stream not in self.items:
                    self.items[stream] = ItemModel(stream, self._stages)
                return self.items[stream]
            case "dead-letter":
                return self.letters.setdefault(stream, LetterModel(stream))
            case "transaction":
                return self.transactions.setdefault(stream, TransactionModel(stream))
            case "breaker":
                if stream not in self.breakers:
                    self.breakers[stream] = BreakerModel(self._permitted, self.failed)
                return self.breakers[stream]
            case _:
                return None

    def _check(self, stream: str) -> None:
        """What is true between streams after every append."""
        if stream in self.items:
            item = self.items[stream]
            if item.place == "dead":
                letter = self.letters.get(item.entry)
                here = letter is not None and letter.item == stream
                holds(here, 3, f"{stream} gave up and is not in {item.entry}")
        if stream in self.letters:
            self._check_letter(self.letters[stream])
        if stream in self.transactions:
            transaction = self.transactions[stream]
            if transaction.letter:
                letter = self.letters.get(transaction.letter)
                here = letter is not None and letter.item == stream
                holds(here, 3, f"{stream} is stuck and not in {transaction.letter}")

    def _check_letter(self, letter: LetterModel) -> None:
        item = self.items.get(letter.item)
        if item is not None:
            dead = item.place == "dead" and item.entry == letter.stream
            what = f"{letter.stream} is {letter.place}, its item {item.place}"
            holds(dead == (letter.place != "returned"), 3, what)
            return
        transaction = self.transactions.get(letter.item)
        holds(transaction, 3, f"{letter.stream} stands for {letter.item}: nothing")
        assert transaction is not None
        known = letter.stream in transaction.letters
        holds(known, 3, f"{letter.item} was never stuck in {letter.stream}")

    def place(self, item: ItemModel) -> str:
        """Return the one place where an item is."""
        if item.place == "dead":
            return self.letters[item.entry].place
        if item.paused and item.place in {"waiting", "retry"}:
            return "paused"
        return item.place

    def running(self, stage: str) -> int:
        """Count the attempts of a stage that are under way."""
        return sum(
            item.place == "running" and item.stage == stage
            for item in self.items.values()
        )


def digest_of(row: Row) -> bytes:
    """Return what stands for a row in the chain."""
    what = [row.position, row.stream, row.version, row.tag, row.data, row.committed]
    return ENCODER.encode(what)
