"""Transactions over several resources: all steps happen, or none, or it shows."""
