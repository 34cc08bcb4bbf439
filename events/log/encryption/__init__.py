"""Payloads encrypted with a key per owner, and how they are erased for good."""

from .keyring import EncryptionMissingError, KeyMissingError, Keyring
from .memory_keyring import MemoryKeyring

__all__ = ["EncryptionMissingError", "KeyMissingError", "Keyring", "MemoryKeyring"]
