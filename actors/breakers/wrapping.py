"""Guards for coroutine functions, written for the parameters that each of them takes.

What a guard costs is mostly Python's price for another coroutine function, and half
of that is for `*args, **kwargs`. So a guard is put together as text with the names
of the parameters in place, as `dataclasses` does for `__init__`; everything that is
not on the way of a good call or of a refusal is a method of the breaker. Its names
begin with an underscore, to keep out of the way of those of parameters.
"""

from collections.abc import Callable, Coroutine
from functools import lru_cache, wraps
from inspect import CO_VARARGS, CO_VARKEYWORDS, isfunction, ismethod
from math import inf
from types import CodeType
from typing import Any

from .errors import BreakerOpenError

Made = Callable[..., Coroutine[Any, Any, Any]]
GUARD = """
def make(_function, _breaker, _machine, _clock, _judge):
    async def guarded({parameters}):
        _generation = _machine.free
        if _generation is not None:
            try:
                _result = await _function({arguments})
            except BaseException as _error:
                _breaker._raised(_generation, _error, inf)
                raise
            if {judged}:
                _breaker._failed(_generation, inf, "", _result)
                return _result
            for _step in _generation.ahead:
                return _result
            _breaker._passed(_generation)
            return _result

        _generation = _machine.clocked
        _started_s = _clock()
        if _generation is None:
            _generation = _machine.generation
            _left_s = _generation.until_s - _started_s
            if _left_s > 0:
                _machine.rejected += 1
                if _left_s == inf:
                    _left_s = _machine.state.config.cooldown_max_s
                raise BreakerOpenError(_machine.name, _left_s, _generation.phase)
            return await _breaker._call_gated(_function, {arguments})
        try:
            _result = await _function({arguments})
        except BaseException as _error:
            _breaker._raised(_generation, _error, _started_s)
            raise
        if {judged}:
            _breaker._failed(_generation, _started_s, "", _result)
            return _result
        _now_s = _clock()
        if _now_s < _generation.turn_s and _now_s - _started_s <= _generation.slow_s:
            for _step in _generation.ahead:
                return _result
        _breaker._passed(_generation, _now_s, _started_s)
        return _result

    return guarded
"""
MAKERS_KEPT = 256


@lru_cache(maxsize=MAKERS_KEPT)
def maker(parameters: str, arguments: str, judged: str) -> Callable[..., Made]:
    """Return what makes guards for functions with such parameters."""
    text = GUARD.format(parameters=parameters, arguments=arguments, judged=judged)
    namespace: dict[str, Any] = {"BreakerOpenError": BreakerOpenError, "inf": inf}
    exec(compile(text, "<guarded by a breaker>", "exec"), namespace)  # noqa: S102 - of names of parameters, which the compiler has seen before
    made: Callable[..., Made] = namespace["make"]
    return made


def written_out(function: Callable[..., Any]) -> tuple[str, str]:
    """Return the parameters of a function and the arguments that hand them on, as text.

    Anything but a plain function or method with a fixed number of parameters takes
    what it is given.
    """
    plain = function.__func__ if ismethod(function) else function
    if not isfunction(plain):
        return "*args, **kwargs", "*args, **kwargs"
    code: CodeType = plain.__code__
    bound = 1 if ismethod(function) else 0
    count = code.co_argcount
    names = code.co_varnames[: count + code.co_kwonlyargcount]
    taken = any(name.startswith("_") for name in names)
    if code.co_flags & (CO_VARARGS | CO_VARKEYWORDS) or taken or count < bound:
        return "*args, **kwargs", "*args, **kwargs"
    positional, named = [*names[bound:count]], names[count:]
    parameters, arguments = [*positional], [*positional]
    if code.co_posonlyargcount > bound:
        parameters.insert(code.co_posonlyargcount - bound, "/")
    if named:
        parameters += ["*", *named]
        arguments += [f"{name}={name}" for name in named]
    return ", ".join(parameters), ", ".join(arguments)


def guarded(function: Callable[..., Any], judged: str, *parts: object) -> Made:
    """Return the guard of a function; `parts` are what the text above asks for."""
    parameters, arguments = written_out(function)
    made: Any = maker(parameters, arguments, judged)(function, *parts)
    if parameters != "*args, **kwargs":
        made.__defaults__ = function.__defaults__
        made.__kwdefaults__ = function.__kwdefaults__
    guard: Made = wraps(function)(made)
    return guard
