"""How rarely the collector looks while the tests run: what was imported is left out, as in a node."""

import gc

# So many new objects between two looks at the young ones, and so many of those between two at all there are.
_YOUNG, _MIDDLE, _ALL = 50_000, 20, 100


def pytest_collection_finish() -> None:
    """Look no more at what was imported: it stays, and looking took a tenth of the time of one file of the hub's."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _ALL)
