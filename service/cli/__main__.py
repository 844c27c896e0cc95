"""``python -m service.cli`` is ``hoatoc``."""

from service.cli import main

main()
