"""Between a pair of actors nothing overtakes, whatever else happens."""

import asyncio
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ChildSpec,
    Mailbox,
    ManualClock,
    Message,
    Ref,
    SupervisorSpec,
    handles,
)

Log = dict[str, list[int]]


class Numbered(Ask[int]):
    """Number `n` from `sender`; the receiver may take its time, or fail of it."""

    sender: str
    n: int
    turns: int = 0
    fails: bool = False


class Receiver(Actor):
    """Writes down what it gets; its notes outlive it."""

    def __init__(self, log: Log) -> None:
        self.log = log

    @handles
    def take(self, message: Numbered) -> int | asyncio.Future[int]:
        self.log[message.sender].append(message.n)
        if message.fails:
            raise ValueError(message.n)
        return message.n


class SlowReceiver(Receiver):
    @handles
    async def take(self, message: Numbered) -> int:  # type: ignore[override]  # suspends
        self.log[message.sender].append(message.n)
        for _ in range(message.turns):
            await asyncio.sleep(0)
        if message.fails:
            raise ValueError(message.n)
        return message.n


class Step(Message):
    """Have a sender send: by `tell`, `ask`, `await ask` or `offer`."""

    how: str
    turns: int
    fails: bool


class Sender(Actor):
    def __init__(self, to: Ref) -> None:
        self.to = to
        self.sent = 0

    @handles
    async def send(self, step: Step) -> None:
        name, number = self.ctx.self.path, self.sent
        self.sent += 1
        message = Numbered(name, number, step.turns, step.fails)
        match step.how:
            case "tell":
                self.to.tell(message)
            case "ask":
                self.to.ask(message)
            case "await":
                await asyncio.gather(self.to.ask(message), return_exceptions=True)
            case _:
                await self.to.offer(message)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["tell", "ask", "await", "offer"]),
        st.integers(0, 3),
        st.sampled_from([False, False, False, True]),
        st.integers(0, 2),
    ),
    max_size=60,
)


@settings(max_examples=50)
@given(
    steps=STEPS,
    slow=st.booleans(),
    eager=st.booleans(),
    strategy=st.sampled_from(["one_for_one", "one_for_all"]),
)
def test_whatever_is_sent_however_arrives_once_and_in_order(
    steps: list[tuple[int, str, int, bool, int]],
    strategy: str,
    *,
    slow: bool,
    eager: bool,
) -> None:
    log: Log = defaultdict(list)
    kind = SlowReceiver if slow else Receiver

    async def run() -> None:
        async with ActorSystem(clock=ManualClock(), eager=eager) as system:
            receivers = SupervisorSpec(
                id="receivers",
                strategy=strategy,  # type: ignore[arg-type]  # one of them
                restarts_max=1000,
                children=[
                    ChildSpec(id=name, factory=lambda: kind(log)) for name in "ab"
                ],
            )
            await system.spawn(receivers)
            to = system.ref("/receivers/b")
            senders = [
                await system.spawn(ChildSpec(id=f"{i}", factory=lambda: Sender(to)))
                for i in range(3)
            ]
            for who, how, turns, fails, pause in steps:
                senders[who].tell(Step(how, turns, fails))
                for _ in range(pause):
                    await asyncio.sleep(0)
            await system.settled()

    with capture_logs():
        asyncio.run(run())
    for i in range(3):
        sent = sum(1 for who, *_ in steps if who == i)
        assert log.get(f"/{i}", []) == list(range(sent))


@pytest.mark.asyncio
async def test_under_load_a_full_mailbox_keeps_the_order_of_every_sender() -> None:
    log: Log = defaultdict(list)
    async with ActorSystem() as system:
        to = await system.spawn(
            ChildSpec(
                id="to",
                factory=lambda: SlowReceiver(log),
                mailbox=Mailbox(capacity=5, policy="wait"),
            ),
        )

        async def send(name: str) -> None:
            for n in range(100):
                await to.offer(Numbered(name, n, turns=n % 3))

        await asyncio.gather(*[send(name) for name in "abcdefgh"])
        await system.settled()

    assert all(log[name] == list(range(100)) for name in "abcdefgh")
