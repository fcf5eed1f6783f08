"""`python -m smalt`."""

from smalt.cli import main

if __name__ == "__main__":
    main()
