"""What acts: the runtime, and the supervised actors that keep unreliable work reliable."""
