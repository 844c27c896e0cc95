"""What a document of version 1 may not do to those who built on an earlier one: a table of rules, and their checker."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Json = dict[str, Any]
# keyword → whether a larger number admits more
_BOUNDS = {
    "maxLength": True,
    "maxItems": True,
    "maximum": True,
    "exclusiveMaximum": True,
    "minLength": False,
    "minItems": False,
    "minimum": False,
    "exclusiveMinimum": False,
}


class Side(StrEnum):
    """Who writes what a schema describes: the integrator, whom the hub must still take, or the hub, for him to read."""

    SENT = "sent"
    READ = "read"


# rule → what it forbids; everything that no rule names is an addition.
RULES = {
    "path.removed": "a path or webhook that was there is gone",
    "operation.removed": "a method of a path is gone",
    "operation.renamed": "an operation has another id: generated clients call it by its name",
    "operation.scope": "an operation asks for another scope than before",
    "parameter.added": "a new parameter of a call is required",
    "parameter.required": "a parameter that could be left out is required",
    "parameter.removed": "a parameter of a call is gone, or a header of a webhook",
    "body.required": "a call that could come without a body needs one",
    "media.removed": "a content type is no longer taken, or no longer answered",
    "response.removed": "a status that was answered is gone",
    "header.removed": "a header of an answer is gone, or no longer certain",
    "sent.required": "a member that could be left out must be sent",
    "sent.removed": "a member that could be sent is refused: shapes take no unknown ones",
    "sent.narrowed": "fewer values, shapes or types are taken than before",
    "sent.bound": "a bound of what is taken is tighter, or its pattern or format is another",
    "read.removed": "a member of an answer is gone",
    "read.optional": "a member of an answer is no longer certain",
    "read.type": "a member of an answer has another type, pattern or format",
    "read.null": "a member of an answer can be null and could not before",
    "read.shape": "an answer can have a shape that no earlier one had",
    "read.bound": "an answer can be longer or larger than its bound said",
}


@dataclass(frozen=True, order=True)
class Break:
    """One thing that would break an integrator: the rule, and where."""

    rule: str
    place: str

    def __post_init__(self) -> None:
        """Hold the table and the checker together."""
        assert self.rule in RULES, self.rule


def breaks(old: Json, new: Json) -> list[Break]:
    """Return everything in ``new`` that breaks who was built on ``old``; both are whole documents."""
    return sorted(set(_Comparison(old, new).found()))


class _Comparison:
    def __init__(self, old: Json, new: Json) -> None:
        self.old, self.new = old, new
        # Shapes refer to each other in circles.
        self.seen: set[tuple[str, str, Side]] = set()

    def found(self) -> Iterator[Break]:
        # Of a webhook the hub writes the request, and the integrator the answer.
        for kind, sent, read in (("paths", Side.SENT, Side.READ), ("webhooks", Side.READ, Side.SENT)):
            now = self.new.get(kind, {})
            for path, item in self.old.get(kind, {}).items():
                if path not in now:
                    yield Break("path.removed", path)
                    continue
                for method, operation in item.items():
                    place = f"{method.upper()} {path}"
                    if method not in now[path]:
                        yield Break("operation.removed", place)
                    else:
                        yield from self._operation(operation, now[path][method], place, sent, read)

    def _operation(self, old: Json, new: Json, place: str, sent: Side, read: Side) -> Iterator[Break]:
        if old["operationId"] != new["operationId"]:
            yield Break("operation.renamed", place)
        if any(each not in new.get("security", []) for each in old.get("security", [])):
            yield Break("operation.scope", place)
        yield from self._parameters(old, new, place, sent)
        before, after = (self._of(each.get("requestBody", {}), side) for each, side in ((old, "old"), (new, "new")))
        if after.get("required") and not before.get("required") and sent is Side.SENT:
            yield Break("body.required", place)
        yield from self._media(before, after, place, sent)
        for status, answer in old["responses"].items():
            if status not in new["responses"]:
                yield Break("response.removed", f"{place} {status}")
                continue
            before, after = self._of(answer, "old"), self._of(new["responses"][status], "new")
            for name, header in before.get("headers", {}).items():
                now = after.get("headers", {}).get(name)
                if now is None or (header.get("required") and not now.get("required")):
                    yield Break("header.removed", f"{place} {status} {name}")
            yield from self._media(before, after, f"{place} {status}", read)

    def _parameters(self, old: Json, new: Json, place: str, side: Side) -> Iterator[Break]:
        before, after = (
            {(each["in"], each["name"].lower()): each for each in (self._of(one, which) for one in of)}
            for of, which in ((old.get("parameters", []), "old"), (new.get("parameters", []), "new"))
        )
        for key in [key for key in before if key not in after]:
            yield Break("parameter.removed", f"{place} {key[1]}")
        for key, now in after.items():
            was = before.get(key)
            if was is not None:
                yield from self._schema(was["schema"], now["schema"], f"{place} {key[1]}", side)
            if side is Side.SENT and now.get("required") and not (was or {}).get("required"):
                yield Break("parameter.added" if was is None else "parameter.required", f"{place} {key[1]}")

    def _media(self, old: Json, new: Json, place: str, side: Side) -> Iterator[Break]:
        for kind, media in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield Break("media.removed", f"{place} {kind}")
            else:
                yield from self._schema(media.get("schema", {}), new["content"][kind].get("schema", {}), place, side)

    def _schema(self, old: Json, new: Json, place: str, side: Side) -> Iterator[Break]:
        names = (old.get("$ref", ""), new.get("$ref", ""), side)
        if names[0] or names[1]:
            if names in self.seen:
                return
            self.seen.add(names)
            place = names[0].rpartition("/")[2] or place
        old, new = self._of(old, "old"), self._of(new, "new")
        one, many = self._branches(old), self._branches(new)
        if len(one) == len(many) == 1:
            yield from self._plain(self._of(one[0], "old"), self._of(many[0], "new"), place, side)
            return
        # Each branch has a twin of its name, or of its form; the side says who may have one more.
        was, now = self._named(one, "old"), self._named(many, "new")
        for label in was.keys() & now.keys():
            yield from self._schema(was[label], now[label], place, side)
        if side is Side.SENT and was.keys() - now.keys():
            yield Break("sent.narrowed", place)
        if side is Side.READ and now.keys() - was.keys():
            yield Break("read.null" if now.keys() - was.keys() == {"null"} else "read.shape", place)

    def _plain(self, old: Json, new: Json, place: str, side: Side) -> Iterator[Break]:
        was, now = _types(old), _types(new)
        if side is Side.SENT and now is not None and (was is None or was - now):
            yield Break("sent.narrowed", place)
        if side is Side.READ and was is not None and (now is None or now - was):
            yield Break("read.type", place)
        before, after = _values(old), _values(new)
        # What is read may get new codes, and what is sent too.
        if side is Side.SENT and after is not None and (before is None or before - after):
            yield Break("sent.narrowed", place)
        yield from self._bounds(old, new, place, side)
        yield from self._members(old, new, place, side)
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
                yield from self._schema(old[inner], new[inner], f"{place}[]", side)

    def _bounds(self, old: Json, new: Json, place: str, side: Side) -> Iterator[Break]:
        for name, larger_admits in _BOUNDS.items():
            was, now = old.get(name), new.get(name)
            if was == now:
                continue
            # What has no bound admits everything.
            wider = now is None or (was is not None and (now > was) == larger_admits)
            if wider == (side is Side.READ):
                yield Break(f"{side}.bound", place)
        for name in ("pattern", "format"):
            if old.get(name) != new.get(name) and name in (new if side is Side.SENT else old):
                yield Break("sent.bound" if side is Side.SENT else "read.type", place)

    def _members(self, old: Json, new: Json, place: str, side: Side) -> Iterator[Break]:
        was, now = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", [])), set(new.get("required", []))
        for name, member in was.items():
            if name in now:
                yield from self._schema(member, now[name], f"{place}.{name}", side)
            else:
                yield Break(f"{side}.removed", f"{place}.{name}")
        if side is Side.SENT:
            yield from (Break("sent.required", f"{place}.{name}") for name in needs - needed)
        else:
            yield from (Break("read.optional", f"{place}.{name}") for name in (needed - needs) & now.keys())

    def _of(self, node: Json, which: str) -> Json:
        document = self.old if which == "old" else self.new
        while "$ref" in node:
            _, _, kind, name = node["$ref"].split("/")
            node = document["components"][kind][name]
        return node

    @staticmethod
    def _branches(schema: Json) -> list[Json]:
        return next((schema[name] for name in ("oneOf", "anyOf") if name in schema), [schema])

    def _named(self, branches: list[Json], which: str) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for branch in branches:
            whole = self._of(branch, which)
            kinds = [str(each["const"]) for each in whole.get("properties", {}).values() if "const" in each]
            label = "/".join(kinds) or branch.get("$ref", "") or "/".join(sorted(_types(whole) or ["any"]))
            # Two texts of different form stay two, in their order.
            found[f"{label} {len(found)}" if label in found else label] = branch
        return found


def _types(schema: Json) -> set[str] | None:
    said = schema.get("type")
    return None if said is None else {said} if isinstance(said, str) else set(said)


def _values(schema: Json) -> set[Any] | None:
    return {schema["const"]} if "const" in schema else set(schema["enum"]) if "enum" in schema else None
