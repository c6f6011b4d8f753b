"""`python -m rehearsal.emulator.compute`."""

from rehearsal.emulator.compute.compute import main

if __name__ == "__main__":
    main()
