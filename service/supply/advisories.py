"""Compares what is shipped with a dated copy of an advisory database in OSV's form, without any network."""

import json
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from service.supply.parts import Part

SHIPPED = Path(__file__).parent / "advisories"
WRITTEN_OFF = Path(__file__).parent / "written_off.toml"
OLD_AFTER = timedelta(days=30)
# Says when the copy was taken and from where; all other files of a copy are advisories, one each.
ABOUT = "database.json"
_LARGEST = 16 * 1024 * 1024


class DatabaseUnfit(ValueError):
    """The copy cannot be read as a folder or a zip of OSV records; the message names the file."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of an advisory database: its records, and the day it is from (None where nothing tells)."""

    records: tuple[Mapping[str, Any], ...]
    day: date | None

    def is_old(self, today: date) -> bool:
        """Tell whether too much may have become known since; a copy without a day is old."""
        return self.day is None or today - self.day > OLD_AFTER


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """One advisory that was judged not to touch us, until the day on which it must be judged again."""

    id: str
    package: str
    since: date
    review_by: date
    state: str
    justification: str
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One advisory about one shipped part; ``written_off`` holds the reason where it does not touch us."""

    id: str
    aliases: tuple[str, ...]
    part: Part
    fixed_in: str
    summary: str
    written_off: str


def load(path: Path) -> Copy:
    """Read a copy: a folder or a zip of OSV records, one JSON file each.

    Its day is ``copied_at`` of its ``database.json``, else the day of the newest change in it. Raises DatabaseUnfit.
    """
    about: Mapping[str, Any] = {}
    records = []
    for name, raw in _files(path):
        try:
            content = json.loads(raw)
        except ValueError:
            raise DatabaseUnfit(f"{name} is not JSON") from None
        if Path(name).name == ABOUT:
            about = content
        elif isinstance(content, dict) and isinstance(content.get("id"), str):
            records.append(content)
        else:
            raise DatabaseUnfit(f"{name} is no OSV record")
    try:
        stated = about.get("copied_at") or max((str(record.get("modified", "")) for record in records), default="")
        day = date.fromisoformat(stated[:10]) if stated else None
    except ValueError:
        raise DatabaseUnfit(f"{ABOUT} or a record has a date that is none") from None
    return Copy(tuple(records), day)


def exceptions(path: Path = WRITTEN_OFF) -> tuple[WrittenOff, ...]:
    """Return the advisories that were written off."""
    return tuple(WrittenOff(**entry) for entry in tomllib.loads(path.read_text("utf-8")).get("written_off", []))


def covered(copy: Copy, parts: Iterable[Part]) -> dict[str, int]:
    """Return of each ecosystem that a part comes from (PyPI, npm) how many advisories the copy has about it."""
    counts = dict.fromkeys(sorted({part.ecosystem for part in parts}), 0)
    for record in copy.records:
        for ecosystem in {_package(affected)[0] for affected in record.get("affected", ())} & counts.keys():
            counts[ecosystem] += 1
    return counts


def findings(copy: Copy, parts: Iterable[Part], written_off: Sequence[WrittenOff], today: date) -> tuple[Finding, ...]:
    """Return each advisory of the copy that is about one of the parts in its version, open ones first.

    Withdrawn advisories are none. An exception counts for its package only, and until its day of review is over.
    """
    by_name: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in copy.records:
        if record.get("withdrawn"):
            continue
        for package in {_package(affected) for affected in record.get("affected", ())}:
            by_name.setdefault(package, []).append(record)
    found = [
        _finding(record, part, written_off, today)
        for part in parts
        for record in by_name.get((part.ecosystem, canonicalize_name(part.name)), ())
        if any(
            affects(affected, part.version)
            for affected in record["affected"]
            if _package(affected) == (part.ecosystem, canonicalize_name(part.name))
        )
    ]
    return tuple(sorted(found, key=lambda one: (bool(one.written_off), one.part.name, one.id)))


def affects(affected: Mapping[str, Any], version: str) -> bool:
    """Tell whether one ``affected`` member of an OSV record is about ``version``: listed, or in one of its ranges.

    The rule is OSV's: a version is in a range from an ``introduced`` (inclusive) until the next ``fixed`` or ``limit``
    (exclusive) or ``last_affected`` (inclusive). A bound that cannot be compared is taken to affect: better a false
    alarm than none.
    """
    if version in affected.get("versions", ()):
        return True
    # Ranges of commits say nothing about a version.
    ranges = [each for each in affected.get("ranges", ()) if each.get("type") in {"ECOSYSTEM", "SEMVER"}]
    try:
        return any(_in_range(each.get("events", ()), Version(version)) for each in ranges)
    except InvalidVersion:
        return True


def _in_range(events: Sequence[Mapping[str, str]], version: Version) -> bool:
    def bound(event: Mapping[str, str]) -> Version:
        ((_, text),) = event.items()
        return Version("0.dev0" if text == "0" else text)

    inside = False
    for event in sorted((event for event in events if event.get("limit") != "*"), key=bound):
        at = bound(event)
        if "introduced" in event:
            inside = inside or version >= at
        elif "last_affected" in event:
            inside = inside and version <= at
        else:
            inside = inside and version < at
    return inside


def _finding(record: Mapping[str, Any], part: Part, written_off: Sequence[WrittenOff], today: date) -> Finding:
    names = (record["id"], *record.get("aliases", ()))
    reasons = [
        each.reason
        for each in written_off
        if each.id in names and each.package == part.name and each.since <= today <= each.review_by
    ]
    fixed = sorted(
        {
            event["fixed"]
            for affected in record["affected"]
            for each in affected.get("ranges", ())
            for event in each.get("events", ())
            if "fixed" in event and _package(affected)[1] == canonicalize_name(part.name)
        }
    )
    summary = str(record.get("summary") or record.get("details", ""))[:200]
    return Finding(record["id"], names[1:], part, ", ".join(fixed), summary, reasons[0] if reasons else "")


def _package(affected: Mapping[str, Any]) -> tuple[str, str]:
    package = affected.get("package", {})
    return str(package.get("ecosystem", "")), canonicalize_name(str(package.get("name", "")))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield file.name, file.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
                if entry.filename.endswith(".json"):
                    if entry.file_size > _LARGEST:
                        raise DatabaseUnfit(f"{entry.filename} is larger than {_LARGEST} bytes")
                    yield entry.filename, archive.read(entry)
    except zipfile.BadZipFile:
        raise DatabaseUnfit(f"{path.name} is neither a folder nor a zip file") from None
