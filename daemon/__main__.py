"""Where the `dramaturg` command begins, also as `python -m dramaturg.daemon`."""

import sys

EXTRAS = "dramaturg[daemon,documents]"


def main() -> None:
    """Run the command line, if what it needs is installed."""
    try:
        from .cli import main as command  # noqa: PLC0415 - it needs extras

        command()
    except KeyboardInterrupt:  # while the command was loaded
        sys.exit(1)
    except ImportError as error:  # commands are loaded when they are called
        missing = error.__cause__ or error
        if not isinstance(missing, ModuleNotFoundError):
            raise
        sys.stderr.write(
            f"dramaturg: the command needs {missing.name}, which is not installed: "
            f"pip install '{EXTRAS}'\n",
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
