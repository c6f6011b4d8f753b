"""`python -m rehearsal`: the whole loop on one machine, or its parts by hand."""

from rehearsal.cli import main

if __name__ == "__main__":
    main()
