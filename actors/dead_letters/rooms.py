"""The places in a queue that were promised to work about to be parked."""

from .deciding import Setting


class Rooms:
    """The places that were promised to work that is about to be parked."""

    def __init__(self) -> None:
        self._until_us: dict[str, int] = {}

    def reserve(self, item: str, size: int, setting: Setting) -> bool:
        """Promise a place to `item`, if there is one."""
        if setting.policy.limit == "evict_oldest":
            return True
        now_us = setting.now_us
        self._until_us = {k: t for k, t in self._until_us.items() if t > now_us}
        taken = size + len(self._until_us) - (item in self._until_us)
        if taken >= setting.policy.entries_max:
            return False
        kept_us = round(setting.policy.reservation_s * 1_000_000)
        self._until_us[item] = now_us + kept_us
        return True

    def use(self, item: str) -> None:
        """Note that the work has arrived."""
        self._until_us.pop(item, None)

    def __len__(self) -> int:
        """Count the promises that were neither used nor found expired."""
        return len(self._until_us)
