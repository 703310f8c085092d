"""The image's entry: the Action; with arguments the `mason` command (``docker run IMAGE serve``)."""

import sys

if __name__ == "__main__":
    if sys.argv[1:]:
        from app.cli import main as command

        command()
    else:
        from app.action import main

        sys.exit(main())
