"""``python -m aioelection``."""

from aioelection.cli import main

if __name__ == "__main__":
    main()
