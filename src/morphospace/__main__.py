"""``python -m morphospace``."""

from morphospace.cli import main

if __name__ == "__main__":
    main()
