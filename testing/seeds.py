"""Running a coroutine under a seed, or under many."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from .loop import STEPS_MAX, SeededLoop

T = TypeVar("T")

Main = Callable[[], Coroutine[Any, Any, T]]


def run_seeded(
    seed: int | None,
    main: Main[T],
    *,
    steps_max: int = STEPS_MAX,
    lag_s: float = 0.0,
) -> T:
    """Run `main()` on a `SeededLoop` of its own and return what it returns.

    The arguments are the loop's. Raises what `main` raises, `DeadlockError` or
    `StepLimitError`, with a note that names the seed.
    """
    return SeededLoop(seed, steps_max=steps_max, lag_s=lag_s).run(main())


def run_seeds(
    seeds: Iterable[int],
    main: Main[T],
    *,
    steps_max: int = STEPS_MAX,
    lag_s: float = 0.0,
) -> list[T]:
    """Run `main()` under each seed, up to the first that fails; return what came."""
    return [run_seeded(seed, main, steps_max=steps_max, lag_s=lag_s) for seed in seeds]
