"""The fourth stage: a document into the graph and the catalogue, wholly or not at all."""

from typing import Final

import anyio
import msgspec

from ...actors.transactions import (
    Call,
    Coordinator,
    Do,
    Outcome,
    Steps,
    Transaction,
)
from ...actors.transactions.fence import Fence
from ...actors.transactions.steps.graph import GraphStep
from ...events.log import EventLog
from .catalogue import STEP as CATALOGUE_STEP
from .catalogue import Catalogue, CatalogueEntry
from .errors import DocumentError
from .graph import Graph, GraphDocument

COORDINATOR: Final = "documents"
GRAPH_STEP: Final = "documents.graph"
"""The name under which the step is registered."""
CATALOGUE_TIMEOUT_S: Final = 30.0
DEADLINE_S: Final = 120.0
TRANSACTIONS_MAX: Final = 1000
"""How many transactions one item may begin, over all its attempts and redrives."""


class TooManyTransactionsError(DocumentError):
    """An item has used up its transactions: something is wrong with it for good."""


class Populated(msgspec.Struct, frozen=True, gc=False):
    """The transaction that put a document into the graph and the catalogue."""

    transaction: str


class Population:
    """Puts documents into the graph and the catalogue, by transactions.

    The transactions of one item are numbered, and each number is an idempotency key.
    So the transaction of an attempt that was lost in a crash is found and waited for,
    before another one is begun.
    """

    def __init__(
        self, graph: Graph, catalogue: Catalogue, *, graph_timeout_s: float
    ) -> None:
        self._graph = graph
        self._graph_timeout_s = graph_timeout_s
        graph_step = GraphStep(GRAPH_STEP, GraphDocument, graph)
        self.steps = Steps([graph_step, catalogue.step])
        """What the coordinator has to know."""

    def bind(self, coordinator: Coordinator, log: EventLog) -> None:
        """Say who runs the transactions; its actor needs the steps first."""
        self._coordinator = coordinator
        self._log = log

    async def populate(
        self, item: str, document: GraphDocument, entry: CatalogueEntry
    ) -> Populated:
        """Put a document into both and return once that is durable.

        `item` is the same for all attempts. Raises `TransactionFailedError` when the
        transaction was rolled back or is stuck.
        """
        number = 1
        while (outcome := await self._ended(item, number)) is not None:
            if outcome.end != "rolled_back":
                outcome.require_committed()
                if await self._stands(outcome.stream):
                    return Populated(outcome.stream)
            number += 1
        if number > TRANSACTIONS_MAX:
            raise TooManyTransactionsError(
                f"{item} has begun {number - 1:,} transactions: look into their ends "
                "before it is redriven"
            )
        transaction = Transaction(
            steps=(
                Do(GRAPH_STEP, document, timeout_s=self._graph_timeout_s),
                Do(CATALOGUE_STEP, entry, timeout_s=CATALOGUE_TIMEOUT_S),
            ),
            key=_key(item, number),
            deadline_s=DEADLINE_S,
            name=document.key,
        )
        outcome = await self._coordinator.run(transaction)
        outcome.require_committed()
        return Populated(outcome.stream)

    async def take_back(self, item: str) -> None:
        """Undo what the item's transactions did; it may be nothing.

        Raises what the graph and the catalogue raise, and `TransactionFailedError`
        for one that is stuck.
        """
        number = 1
        while (outcome := await self._ended(item, number)) is not None:
            if outcome.end != "rolled_back":
                outcome.require_committed()
                await self._compensate(outcome.stream)
            number += 1

    async def _ended(self, item: str, number: int) -> Outcome | None:
        """Return how a transaction of the item ended; None: it never began.

        An open one is waited for, and one that is stuck is given another try.
        """
        scope = f"transaction/{COORDINATOR}/"
        stream = await self._log.key_stream(scope, _key(item, number))
        if stream is None:
            return None
        outcome = await self._coordinator.wait(stream)
        if outcome.end == "stuck":
            reason = "the item that began it is worked on again"
            await self._coordinator.resolve(stream, "retry", reason)
            outcome = await self._coordinator.wait(stream)
        return outcome

    async def _stands(self, stream: str) -> bool:
        """Tell whether a transaction that was committed was not taken back since."""
        with anyio.fail_after(self._graph_timeout_s):
            found, _ = await self._graph.look(f"{stream}#0")
        return found == "done"

    async def _compensate(self, stream: str) -> None:
        """Take back a transaction that has ended, by its own steps, in reverse."""
        state = await self._coordinator.state(stream)
        for number, planned in reversed(list(enumerate(state.steps))):
            step = self.steps[planned.plan.name]
            call = Call(stream, number, 1, Fence(f"{stream}#{number}"))
            args = msgspec.json.decode(planned.plan.args, type=step.arguments)
            undo = msgspec.json.decode(planned.undo, type=step.undo)
            with anyio.fail_after(planned.plan.timeout_s):
                await step.compensate(args, undo, call)


def _key(item: str, number: int) -> str:
    return f"{item}/{number}"
