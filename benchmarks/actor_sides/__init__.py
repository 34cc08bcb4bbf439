"""The same work for actors of dramaturg and for what they are compared with."""

from .ours import Ours
from .plain import Plain
from .pykka_side import PykkaSide
from .side import BURST, SPREAD, Absent, Side
from .thespian_side import ThespianSide
from .xoscar_side import XoscarSide

__all__ = [
    "BURST",
    "SPREAD",
    "Absent",
    "Ours",
    "Plain",
    "PykkaSide",
    "Side",
    "ThespianSide",
    "XoscarSide",
]
