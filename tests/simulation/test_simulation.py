"""Whole systems under many seeds: every promise holds, and what is planted is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .planted import FAULTS, FOUND_AT

ROOT = Path(__file__).parent.parent.parent


def run(*args: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    """Run the command in processes of their own, where coverage does not slow it."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900)
def test_every_promise_holds_under_two_thousand_seeds() -> None:
    ran = run("--seeds", "2000")

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_same_seed_gives_the_same_run_in_every_process() -> None:
    first = run("--seed", "7", "--trace", hash_seed="1")
    second = run("--seed", "7", "--trace", hash_seed="2")

    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout == second.stdout
    assert "item.submitted" in first.stdout


@pytest.mark.timeout(900)
def test_every_planted_fault_is_found() -> None:
    ran = run("--planted", "all", "--known")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(": found at seed ") == len(FAULTS)


def test_a_failing_seed_says_how_it_is_run_again() -> None:
    name = "acknowledges_before_fsync"
    ran = run("--seed", str(FOUND_AT[name]), "--planted", name)

    assert ran.returncode == 1
    assert "promise 1 is broken" in ran.stdout


def test_enough_faults_are_planted() -> None:
    assert len(FAULTS) >= 10
