"""The actor runtime: cells, references, mailboxes and supervision."""
