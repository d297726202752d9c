"""`python -m cvtbatch`: the command line."""

from cvtbatch.cli import main

main()
