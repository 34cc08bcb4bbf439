"""A client object of which every coroutine method is guarded."""

from typing import Self

import pytest

from dramaturg.actors.breakers import Breaker, BreakerConfig, BreakerOpenError
from dramaturg.actors.guards import guard_client
from dramaturg.actors.settings import SettingsError

FRAGILE = BreakerConfig.preset("classic", failures_max=1)


class Storage:
    """A client as libraries have them."""

    region = "north"

    def __init__(self) -> None:
        self.down = False
        self.closed = False

    async def upload(self, name: str, size: int = 1) -> str:
        return self._reply(f"{name} {size}")

    async def download(self, name: str) -> str:
        return self._reply(name)

    async def close(self) -> None:
        self.closed = True

    async def _secret(self) -> str:
        return self._reply("secret")

    def _reply(self, text: str) -> str:
        if self.down:
            raise ConnectionError
        return text

    def url(self, name: str) -> str:
        return f"https://{self.region}/{name}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


@pytest.mark.asyncio
async def test_every_coroutine_method_is_guarded_and_the_rest_is_the_clients() -> None:
    storage, breaker = Storage(), Breaker("storage", FRAGILE)
    client = guard_client(storage, breaker, unguarded=["close"])

    assert await client.upload("a", size=2) == "a 2"
    assert client.url("a") == "https://north/a"
    client.down = True
    assert storage.down
    with pytest.raises(ConnectionError):
        await client.upload("a")
    with pytest.raises(BreakerOpenError):
        await client.download("a")
    await client.close()
    assert storage.closed
    assert repr(client) == f"<guarded {storage!r}>"


@pytest.mark.asyncio
async def test_operations_fail_apart() -> None:
    uploads, others = Breaker("storage.upload", FRAGILE), Breaker("storage", FRAGILE)
    client = guard_client(Storage(), others, operations={"upload": uploads})
    client.down = True
    with pytest.raises(ConnectionError):
        await client.upload("a")
    client.down = False

    with pytest.raises(BreakerOpenError, match=r"storage\.upload"):
        await client.upload("a")
    assert await client.download("a") == "a"


@pytest.mark.asyncio
async def test_private_methods_pass() -> None:
    breaker = Breaker("storage", FRAGILE)
    await breaker.trip("drill")

    assert await guard_client(Storage(), breaker)._secret() == "secret"  # pyright: ignore[reportPrivateUsage]


@pytest.mark.asyncio
async def test_a_guarded_client_is_a_context_as_its_client_is() -> None:
    storage, breaker = Storage(), Breaker("storage", FRAGILE)

    async with guard_client(storage, breaker) as client:
        await breaker.trip("drill")
        with pytest.raises(BreakerOpenError):
            await client.download("a")
    assert storage.closed


@pytest.mark.asyncio
async def test_a_method_that_is_replaced_is_guarded_anew() -> None:
    storage, breaker = Storage(), Breaker("storage", FRAGILE)
    client = guard_client(storage, breaker)
    await client.download("a")

    async def other(name: str) -> str:
        return f"other {name}"

    client.download = other  # type: ignore[method-assign] # as tests of others do
    assert await client.download("a") == "other a"
    del client.download
    assert await client.download("a") == "a"


@pytest.mark.parametrize("name", ["url", "uplaod", "region"])
def test_a_name_that_is_no_coroutine_method_is_refused(name: str) -> None:
    breaker = Breaker("storage", FRAGILE)

    with pytest.raises(SettingsError, match=f"Storage.{name} is no coroutine method"):
        guard_client(Storage(), breaker, unguarded=[name])
    with pytest.raises(SettingsError, match=f"Storage.{name} is no coroutine method"):
        guard_client(Storage(), breaker, operations={name: breaker})
