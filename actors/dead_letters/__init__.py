"""Dead letters: failed work waits in one place until it is redriven or let go."""
