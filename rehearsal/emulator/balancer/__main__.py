"""`python -m rehearsal.emulator.balancer`."""

from rehearsal.emulator.balancer.balancer import main

if __name__ == "__main__":
    main()
