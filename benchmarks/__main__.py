"""`python -m benchmarks`: the figures of docs/speed.md."""

from benchmarks.cli import main

if __name__ == "__main__":
    main()
