"""Payloads encrypted with a key per owner, and how they are erased for good."""

from .keyring import EncryptionMissingError, KeyMissingError, Keyring

__all__ = ["EncryptionMissingError", "KeyMissingError", "Keyring"]
