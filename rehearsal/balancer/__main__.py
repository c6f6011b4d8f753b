"""`python -m rehearsal.balancer`."""

from rehearsal.balancer.balancer import main

if __name__ == "__main__":
    main()
