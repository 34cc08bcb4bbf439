"""The seeded loop: one seed, one interleaving, and time that takes no time."""

import asyncio
import sys
import threading
from asyncio.events import (
    _set_running_loop,  # pyright: ignore[reportPrivateUsage] - loops are made with it
)
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple, Unpack

from .clock import VirtualClock
from .errors import DeadlockError, StepLimitError, UnseededError
from .lanes import Lanes
from .pump import SeededPump
from .refusals import no_threads, running_loop
from .steps import Step
from .virtual_loop import VirtualLoop
from .waiting import who_waits

if TYPE_CHECKING:
    from ..actors.runtime import ActorSystem

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_US: Final = 1_700_000_000_000_000
STEPS_MAX: Final = 1_000_000
CLEARING_STEPS: Final = 100_000
"""Steps in which a main coroutine that has failed may clear up."""

LAGS: Final = 0.05
"""How likely it is before each step that time passes, see `lag_s`."""

_RECENT: Final = 100


class SeededLoop(VirtualLoop):
    """An event loop whose every choice follows from its seed, in virtual time.

    What runs next is drawn among the ready callbacks, tasks and actors; callbacks of
    one receiver keep their order (see `Lanes`), and so do messages between a pair of
    actors. When nothing is ready, time jumps to the next timer. The same seed gives
    the same interleaving in every process, and so the same `digest`. Actor systems
    and `MemoryLog`s in it take time and chance from it without being told.

    `seed` None: first come, first served, as on asyncio's own loop. `steps_max` limits
    the callbacks of a run. With `lag_s` the machine is slow now and then: up to so
    many seconds pass although something is ready, so that timers overtake it.
    `start_us` is the wall time at the start.

    Threads, sockets, executors, signals and processes are refused with
    `UnseededError`; an error that escapes from a callback ends the run. Use it by
    `run`, or as a loop factory of `asyncio.Runner` and of test frameworks.
    """

    pump_class = SeededPump

    def __init__(
        self,
        seed: int | None = 0,
        *,
        steps_max: int = STEPS_MAX,
        lag_s: float = 0.0,
        start_us: int = START_US,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.chance = None if seed is None else Random(seed)  # noqa: S311 - on purpose
        self.clock = VirtualClock(self, start_us)
        self.steps = 0
        """Callbacks run so far."""
        self.on_step: Callable[[], object] | None = None
        """Called after every step; what it raises ends the run."""
        self._steps_max = steps_max
        self._lag_s = lag_s
        self._lanes = Lanes(self.chance)
        self._quiet: list[asyncio.Future[None]] = []
        self._systems: list[ActorSystem] = []
        self._digest = blake2b(digest_size=16)
        self.recent: deque[str] = deque(maxlen=_RECENT)
        """What the last steps were, for a person who looks for a fault."""
        self._thread = threading.get_ident()
        self._failed = False

    @property
    def digest(self) -> str:
        """Stands for the interleaving so far: 32 hexadecimal digits."""
        return self._digest.hexdigest()

    def note(self, what: str) -> None:
        """Make `what` part of the trace, and so of the digest."""
        self.recent.append(what)
        self._digest.update(what.encode())

    # What actor systems take from it

    def wall_us(self) -> int:
        """Return wall time in microseconds since 1970."""
        return self.clock.now_us()

    def new_random(self) -> Random:
        """Return a source of chance that follows from the loop's seed."""
        seed = 0 if self.chance is None else self.chance.getrandbits(64)
        return Random(seed)  # noqa: S311 - on purpose

    def joined(self, system: "ActorSystem") -> None:
        """Know `system`, to say which of its actors wait."""
        self._systems.append(system)

    async def quiet(self) -> None:
        """Wait until nothing is left to do but to let time pass."""
        future = self.create_future()
        self._quiet.append(future)
        await future

    # Running

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to its end, clear up, close the loop, return what `main` returned.

        Raises what `main` raised, `DeadlockError` or `StepLimitError`, with a note
        that names the seed. To clear up, what is left is cancelled.
        After `abort`, which stands for a crash, that includes `main`: see to it that
        what is to survive (a log) takes nothing from it any more.
        """
        task = self.create_task(main, name="main")
        try:
            result: T = self.run_until_complete(task)
        except BaseException as error:
            at = f"step {self.steps}, {self._now_s:g} s"
            error.add_note(f"under seed {self.seed}, at {at} of virtual time")
            self._failed = True
            with suppress(Exception):  # the first error is the one to be told
                self._clear_up(task)
            raise
        else:
            self._clear_up(task)
            return result
        finally:
            self.close()

    def run_until_complete(self, future: Any) -> Any:
        """Run until `future`, or the coroutine, is done, and return its result."""
        self.check_open()
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(self._done)
        try:
            self.run_forever()
        finally:
            task.remove_done_callback(self._done)
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return task.result()

    def _done(self, _: "asyncio.Future[Any]") -> None:
        self._stopping = True

    def run_forever(self) -> None:
        """Run until `stop`, an error from a callback, a deadlock or the limit."""
        self.check_open()
        if running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another is running")
        hooks = sys.get_asyncgen_hooks()
        self._running, self._thread = True, threading.get_ident()
        _set_running_loop(self)
        sys.set_asyncgen_hooks(self.first_iterated, self.dropped)
        try:
            with no_threads():
                self._run()
        finally:
            self._stopping = self._running = False
            _set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        lanes = self._lanes
        while not self._stopping:
            if not lanes:
                self._let_time_pass()
            elif self._lag_s and self.chance is not None:
                self._lag(self.chance)
            count = len(lanes)
            step = lanes.pick()
            if step.cancelled():
                continue
            if self.steps >= self._steps_max:
                raise StepLimitError(self.steps, self._now_s, self._who_waits())
            self.steps += 1
            label = step.label
            self.recent.append(label)
            self._digest.update(b"%d %b\n" % (count, label.encode()))
            try:
                step.context.run(step.call, *step.args)
            except Exception as error:  # noqa: BLE001 - the edge of a loop
                said = {"message": label, "exception": error, "handle": step}
                self.call_exception_handler(said)
            if self.on_step is not None:
                self.on_step()

    def _let_time_pass(self) -> None:
        """Wake those who waited for quiet; else jump to the next timer."""
        quiet, self._quiet = self._quiet, []
        for future in quiet:
            if not future.done():
                future.set_result(None)
        while not self._lanes:
            next_s = self._timetable.next_s
            if next_s is None:
                raise DeadlockError(self._who_waits())
            self._pass_to(max(self._now_s, next_s))

    def _lag(self, chance: Random) -> None:
        if chance.random() < LAGS:
            self._pass_to(round(self._now_s + chance.random() * self._lag_s, 9))

    def _pass_to(self, now_s: float) -> None:
        self._now_s = now_s
        self._digest.update(b"%a\n" % now_s)
        for step in self._timetable.due(now_s):
            self._lanes.put(step)

    def _who_waits(self) -> str:
        return who_waits(self, self._systems)

    def ready(self, step: Step) -> None:
        """Have `step` run when chance picks it."""
        self._lanes.put(step)

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Step:
        """Do as `call_soon`. Raises `UnseededError` in any other thread."""
        if threading.get_ident() != self._thread:
            raise UnseededError("call_soon_threadsafe() from another thread")
        return self.call_soon(callback, *args, context=context)

    def abort(self, error: BaseException) -> None:
        """End the run with `error` after this step, whatever is ready: a crash.

        What has failed and is being cleared up does not fail once more.
        """
        if not self._failed:
            super().abort(error)

    def _clear_up(self, main: "asyncio.Task[Any]") -> None:
        """Cancel what is left, the main coroutine first, and let it come to its end."""
        self._steps_max = self.steps + CLEARING_STEPS
        self.on_step = None
        try:
            self._cancel([main])
            self._cancel(list(asyncio.all_tasks(self)))
            self.run_until_complete(self.shutdown_asyncgens())
        except (DeadlockError, StepLimitError):
            return  # what would not end is left where it is

    def _cancel(self, tasks: "list[asyncio.Task[Any]]") -> None:
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            self.run_until_complete(asyncio.wait(left))
