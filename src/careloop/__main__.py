"""`python -m careloop`."""

from careloop.cli.main import main

main()
