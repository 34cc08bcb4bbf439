"""Ids of items: text that sorts by the time of submission."""

import random


def new_id(now_us: int, chance: random.Random) -> str:
    """Return an id in the manner of UUID version 7: milliseconds, then 74 random bits.

    Layout: RFC 9562, section 5.7.
    """
    time_ms = (now_us // 1000) & 0xFFFF_FFFF_FFFF
    drawn = chance.getrandbits(74)
    high = 0x7000 | drawn >> 62
    low = 0x8000_0000_0000_0000 | drawn & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{time_ms:012x}{high:04x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
