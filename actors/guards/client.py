"""A client object of which every coroutine method is guarded."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, Protocol, Self, TypeVar, cast

from ..settings import SettingsError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Guarding(Protocol):
    """What guards a function: a `Breaker`, a `Guard`, a `Retrying`."""

    def __call__(
        self, function: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """Return the function, guarded."""
        ...


def guard_client(
    client: T,
    guard: Guarding,
    *,
    operations: Mapping[str, Guarding] | None = None,
    unguarded: Collection[str] = (),
) -> T:
    """Return a stand-in for `client` whose public coroutine methods are guarded.

    `operations` names methods with guards of their own, so that uploads fail apart
    from downloads; `unguarded` those that never fail, such as `close`. Everything
    else, attributes that are set included, is the client's own. What returns a
    context or an iterator instead of a coroutine is not guarded: guard its use by
    `async with guard.guard():`. Raises `SettingsError` for a name that is no
    coroutine method.
    """
    named = {**(operations or {})}
    for name in (*named, *unguarded):
        if not iscoroutinefunction(getattr(client, name, None)):
            raise SettingsError(
                f"{type(client).__name__}.{name} is no coroutine method, "
                "so that it cannot be guarded or left out: name those that are",
            )
    return cast("T", _Guarded(client, guard, named, frozenset(unguarded)))


class _Guarded:
    """Hands on everything, and wraps methods when they are first asked for."""

    _client: Any
    _guard: Guarding
    _named: Mapping[str, Guarding]
    _unguarded: frozenset[str]
    _wrapped: dict[str, Callable[..., Any]]

    def __init__(
        self,
        client: Any,
        guard: Guarding,
        named: Mapping[str, Guarding],
        unguarded: frozenset[str],
    ) -> None:
        wrapped: dict[str, Callable[..., Any]] = {}
        own: dict[str, object] = {
            "_client": client,
            "_guard": guard,
            "_named": named,
            "_unguarded": unguarded,
            "_wrapped": wrapped,
        }
        vars(self).update(own)  # setting them would set the client's

    def __getattr__(self, name: str) -> Any:
        value: Any = getattr(self._client, name)
        if name.startswith("_") or name in self._unguarded:
            return value
        if not iscoroutinefunction(value):
            return value
        if name not in self._wrapped:
            self._wrapped[name] = self._named.get(name, self._guard)(value)
        return self._wrapped[name]

    def __setattr__(self, name: str, value: object) -> None:
        self._wrapped.pop(name, None)
        setattr(self._client, name, value)

    def __delattr__(self, name: str) -> None:
        self._wrapped.pop(name, None)
        delattr(self._client, name)

    def __repr__(self) -> str:
        return f"<guarded {self._client!r}>"

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        return await self._client.__aexit__(*error)
