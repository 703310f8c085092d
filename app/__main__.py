"""`python -m app` is `mason`."""

from app.cli import main

main()
