"""`python -m rehearsal.compute`."""

from rehearsal.compute.compute import main

if __name__ == "__main__":
    main()
