"""`python -m service node|router|indexer`: the processes of an instance."""

from service.cli import main

if __name__ == "__main__":
    main()
