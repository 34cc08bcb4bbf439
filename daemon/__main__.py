"""`python -m dramaturg.daemon` is the `dramaturg` command."""

from .cli import main

main()
