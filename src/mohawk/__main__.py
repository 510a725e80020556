"""`python -m mohawk`: the same as the `mohawk` command."""

from mohawk.cli.main import main

main()
