"""What it means: folds over the log, read models and time travel."""
