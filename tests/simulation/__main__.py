"""Runs seeds, or one seed with its trace, or looks for planted faults.

python -m tests.simulation --seeds 2000 --first 0
python -m tests.simulation --seed 123 --trace
python -m tests.simulation --planted fence_missing
python -m tests.simulation --planted all --known
"""

import argparse
import sys
import time

from .planted import FAULTS
from .runner import FIND_MAX, Failed, find_planted, run_seeds
from .tracing import traced


def main() -> int:
    """Return 0 if every promise was kept, and every planted fault found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--planted", choices=["all", *FAULTS])
    parser.add_argument("--known", action="store_true", help="begin where it was found")
    args = parser.parse_args()
    if args.seed is not None:
        return one(args.seed, args.planted, trace=args.trace)
    if args.planted:
        names = list(FAULTS) if args.planted == "all" else [args.planted]
        return planted(names, args.processes, known=args.known)
    return many(args.first, args.seeds, args.processes)


def one(seed: int, planted: str | None, *, trace: bool) -> int:
    """Run one seed; with its trace, everything that happened is told."""
    lines, error = traced(seed, planted)
    for line in lines if trace else ():
        print(line)
    if error is not None:
        print(f"seed {seed}: {type(error).__name__}: {error}")
    return error is not None


def many(first: int, seeds: int, processes: int) -> int:
    """Run seeds, and say how each that failed is run again."""
    began_s = time.monotonic()
    failures = 0
    ran = run_seeds(first, seeds, processes)
    for result in ran:
        if isinstance(result, Failed):
            failures += 1
            print(f"seed {result.seed}: {result.error}")
            print(f"    make simulate SEED={result.seed}", flush=True)
    took_s = time.monotonic() - began_s
    print(f"{seeds} seeds from {first}, {failures} failed, in {took_s:.0f} s")
    return bool(failures)


def planted(names: list[str], processes: int, *, known: bool) -> int:
    """Look for planted faults, and say at which seed each was found."""
    missed = 0
    for name, failed in find_planted(names, processes, known=known):
        if failed is None:
            missed += 1
            print(f"{name}: not found in {FIND_MAX} seeds", flush=True)
        else:
            print(f"{name}: found at seed {failed.seed}: {failed.error[:100]}")
            sys.stdout.flush()
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
