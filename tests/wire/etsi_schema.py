"""The shipped JSON schemas of ETSI as one document, cut to the objects that are spoken, and mended."""

import copy
import json
from functools import cache
from importlib import resources
from typing import Any

_CORE = "ts_103120_Core_2019_10"
# ETSI's file leaves the takedown task out of what an action may carry; clause 8 and the XML schema have it.
_TAKEDOWN = {"$ref": "ts_103120_Task_2020_09#/$defs/TDTaskObject"}
# There is no interception here, so that no message with such a task is ever valid.
_INTERCEPTION = {"$ref": "ts_103120_Task_2020_09#/$defs/LITaskObject"}


@cache
def published() -> dict[str, Any]:
    """Return the schemas as they were published, by the ``$id`` with which they refer to one another."""
    folder = resources.files("adapters.etsi") / "schemas"
    files = sorted(each.name for each in folder.iterdir() if each.name.endswith(".schema.json"))
    read = (json.loads((folder / name).read_text("utf-8")) for name in files)
    return {each["$id"]: each for each in read}


def message(*, mended: bool = True) -> dict[str, Any]:
    """Return the schema of an HI1Message, with all that it refers to inside, in draft 2020-12.

    Without ``mended`` the objects that an action may carry are those of ETSI's file, as far as they are shipped.
    """
    found = copy.deepcopy(published())
    core = found[_CORE]["$defs"]
    carried = [each for each in core["ConcreteHI1Object"]["oneOf"] if each["$ref"].partition("#")[0] in found]
    if mended:
        carried = [*(each for each in carried if each != _INTERCEPTION), _TAKEDOWN]
    core["ConcreteHI1Object"]["oneOf"] = carried
    # Dictionaries are the standard's and the handbook's: none travels.
    del core["GETCSPCONFIGResponse"]["properties"]["Dictionaries"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://hoatoc.invalid/schemas/hi1-message",
        "$ref": _CORE,
        "$defs": found,
    }
