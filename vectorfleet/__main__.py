"""`python -m vectorfleet`: the command where it is not installed."""

from vectorfleet.door import main

if __name__ == "__main__":
    main(prog_name="vectorfleet")
