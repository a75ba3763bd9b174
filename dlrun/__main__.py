"""`python -m dlrun` is the console script `dlrun`."""

from dlrun.cli import main

main()
