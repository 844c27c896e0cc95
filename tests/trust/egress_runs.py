"""Runs the table of spellings against a site of canaries, and tells each vector that ended otherwise than it must."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import canaries
import pytest
import registry_forms
import spellings
import wire_servers
from canaries import GOOD, NAME, Site
from pydantic import ValidationError
from spellings import ELSEWHERE, REACHED
from wire_servers import Authority, says

from adapters.transport import Transport
from service import errors
from service.actions import endpoints
from service.settings import Settings

# No vector may keep the kept connection of the one before.
_FRESH = "endpoint-{}"


@dataclass
class Tally:
    """What was tried, what ended otherwise than it must, and how many registered addresses worked."""

    tried: int = 0
    worked: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, what: object, expected: str, found: str) -> None:
        """Count one vector."""
        self.tried += 1
        self.worked += expected == found == REACHED
        if found != expected:
            self.wrong.append(f"{what!r}: {found} instead of {expected}")


async def urls(site: Site) -> Tally:
    """Each spelling as the registered URL, and as what an adapter was talked into under the right registration."""
    tally = Tally()
    transport = Transport(allow_loopback=True, resolve=site.lookup)
    for group in spellings.URLS.values():
        for expected, vectors in group.items():
            for vector in vectors:
                url = site.spell(vector)
                registered = site.endpoint(url, id=_FRESH.format(tally.tried))
                tally.note(url, expected, await canaries.post(transport, registered))
                honest = site.endpoint(f"https://{NAME}:{site.port}/")
                # The address of the registered server is not its name: it was not registered under it.
                led = ELSEWHERE if f"//{GOOD}:" in url else expected
                tally.note(("led to", url), led, await canaries.post(transport, honest, url))
    await transport.aclose()
    return tally


async def answers(site: Site) -> Tally:
    """Each answer of a resolver for the registered name; it is asked once, and by nobody else."""
    tally = Tally()
    for expected, vectors in spellings.ANSWERS.items():
        for vector in vectors:
            asked: list[str] = []

            async def resolve(
                name: str, port: int, found: Sequence[str] = vector, asked: list[str] = asked
            ) -> Sequence[str]:
                asked.append(name)
                if found == ("!OSError",):
                    raise OSError("no such name")
                if found == ("!UnicodeError",):
                    raise UnicodeError("label too long")
                return found

            transport = Transport(allow_loopback=True, resolve=resolve)
            found = await canaries.post(transport, site.endpoint(f"https://{NAME}:{site.port}/"))
            tally.note((vector[:5], asked), expected, found if asked == [NAME] else "asked again")
            await transport.aclose()
    return tally


async def rebindings(site: Site) -> Tally:
    """One name that answers otherwise at each call; a connection kept from a good answer serves no bad one."""
    tally = Tally()
    for sequence in spellings.REBINDINGS:
        left = [address for address, _ in sequence]

        async def resolve(name: str, port: int, left: list[str] = left) -> Sequence[str]:
            return [left.pop(0)]

        transport = Transport(allow_loopback=True, resolve=resolve)
        for step, (address, expected) in enumerate(sequence):
            found = await canaries.post(transport, site.endpoint(f"https://{NAME}:{site.port}/"))
            tally.note((sequence, step, address), expected, found)
        await transport.aclose()
    return tally


async def replies(site: Site) -> Tally:
    """Each answer of the registered server that would send a browser elsewhere: one request, and no other follows."""
    tally = Tally()
    for status, headers, body, expected in spellings.REPLIES:
        site.answer = says(status, *map(site.spell, headers), body=site.spell(body).encode())
        site.requests.clear()
        transport = Transport(allow_loopback=True, resolve=site.lookup)
        endpoint = site.endpoint(f"https://{NAME}:{site.port}/")
        found = [await canaries.post(transport, endpoint) for _ in range(2)]
        good = len(site.requests) == 2 and found[0] == found[1] and len(set(map(_plain, site.requests))) == 1
        tally.note((status, headers), expected, found[0] if good else f"{found} by {len(site.requests)} requests")
        await transport.aclose()
    site.answer = says("200 OK")
    return tally


async def variables(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Tally:
    """Each variable of the environment: the registered server is reached, and nobody that the variable vouches for."""
    tally = Tally()
    hostile = Authority(folder, "hostile authority")
    (folder / "hostile.pem").write_text(hostile.pem)
    (folder / "netrc").write_text("machine bank.example login hub password secret\ndefault login hub password secret\n")
    (folder / "aliases").write_text("bank.example evil.example\n")
    for name, value in spellings.VARIABLES:
        places = {"hostile": "hostile.pem", "folder": "", "netrc": "netrc", "aliases": "aliases"}
        for word, file in places.items():
            value = value.replace(f"{{{word}}}", str(folder / file))
        with monkeypatch.context() as patch:
            patch.setenv(name, site.spell(value))
            site.requests.clear()
            transport = Transport(allow_loopback=True, resolve=site.lookup)
            found = await canaries.post(transport, site.endpoint(f"https://{NAME}:{site.port}/"))
            kept = not (folder / "keys").exists() and "authorization" not in str(site.requests).lower()
            tally.note((name, value), REACHED, found if kept else "a secret was given away")
            async with wire_servers.serving(says("200 OK"), hostile.issue(NAME)) as impostor:
                url = f"https://{NAME}:{impostor.port}/"
                endpoint = site.endpoint(url, port=impostor.port, id="impostor")
                tally.note((name, value, "impostor"), "tls", await canaries.post(transport, endpoint))
            await transport.aclose()
    return tally


async def private(site: Site, folder: Path) -> Tally:
    """Each registered network: all within is reached by name and by address at each port, and nothing beside it.

    Nobody can listen on 10.0.0.5 here, and no packet may leave: the one step that is replaced is the system's
    "connect", which leads from that address to a server with a certificate for it. All the checks are the transport's.
    """
    tally = Tally()
    for network, within, outside in spellings.PRIVATE:
        for address in (*within, *outside):
            port = spellings.PORTS[tally.tried % len(spellings.PORTS)]
            expected = REACHED if address in within else ELSEWHERE
            site.mapped = {(each, port) for each in within}

            async def resolve(name: str, port: int, address: str = address) -> Sequence[str]:
                return [address]

            async with wire_servers.serving(says("200 OK"), site.authority.issue(NAME, address)) as heard:
                own, site.port = site.port, heard.port
                transport = Transport(resolve=resolve)
                literal = f"[{address}]" if ":" in address else address
                for host in (NAME, literal):
                    url = f"https://{host}:{port}/" if port != 443 else f"https://{host}/"
                    endpoint = site.endpoint(url, network, port)
                    tally.note((network, address, url), expected, await canaries.post(transport, endpoint))
                    tally.note(
                        (network, url, "no port"), ELSEWHERE, await canaries.post(transport, _portless(endpoint))
                    )
                ours = Transport(resolve=resolve, own_networks=(network,))
                endpoint = site.endpoint(f"https://{NAME}:{port}/", network, port)
                tally.note((network, address, "the hub's own"), ELSEWHERE, await canaries.post(ours, endpoint))
                here = Transport(resolve=resolve, is_own=lambda _: True)
                tally.note((network, address, "this machine"), ELSEWHERE, await canaries.post(here, endpoint))
                await transport.aclose()
                site.port = own
    site.mapped = set()
    return tally


def registrations() -> Tally:
    """Each spelling of an address as an administrator would propose it: the registry takes the registered one alone."""
    tally = Tally()
    settings = Settings(own_networks=("10.20.99.0/24",))
    for group, by_outcome in spellings.URLS.items():
        for expected, vectors in by_outcome.items():
            for vector in vectors:
                url = vector.replace("{port}", "8443").replace("{other}", "9443")
                # On the registry's side a name is a name: what it resolves to is the transport's to check.
                named = expected != spellings.MALFORMED and expected != spellings.NOT_TLS and f"//{GOOD}" not in url
                host = url.partition("//")[2].partition("/")[0].partition(":")[0]
                good = named and not host.replace(".", "").isdigit() and "[" not in url and "localhost" not in host
                tally.note((group, url), "taken" if good else "refused", _register(settings, url, "203.0.113.0/24"))
    for network, within, outside in spellings.PRIVATE:
        for address in within:
            url = f"https://[{address}]/" if ":" in address else f"https://{address}/"
            tally.note((network, url), "taken", _register(settings, url, network))
        for address in outside:
            url = f"https://[{address}]/" if ":" in address else f"https://{address}/"
            tally.note((network, url), "refused", _register(settings, url, network))
    for network in (
        "10.20.0.0/16",
        "10.20.99.0/25",
        "0.0.0.0/0",
        "127.0.0.0/24",
        "::/0",
        "169.254.0.0/16",
        "10.0.0.0/8",
    ):
        tally.note(network, "refused", _register(settings, "https://bank.example/", network))
    return tally


def _register(settings: Settings, url: str, network: str) -> str:
    try:
        body = registry_forms.definition(url=url, network=network)
        endpoints.definition(settings, body)
    except (ValidationError, errors.InvalidInput):
        return "refused"
    return "taken"


async def variations(site: Site, draw: random.Random, count: int) -> Tally:
    """``count`` spellings made by chance: whatever one ends with, only the registered server may have heard of it."""
    tally = Tally()
    for _ in range(count):
        url = site.spell(_spelled(draw, site))
        before = len(site.requests)
        candidates = draw.choices([GOOD, "127.0.0.2", "127.0.0.3", "::1", "10.0.0.1", "::ffff:127.0.0.1"], k=3)

        async def resolve(name: str, port: int, candidates: Sequence[str] = candidates) -> Sequence[str]:
            return candidates if name == NAME else await site.lookup(name, port)

        transport = Transport(allow_loopback=True, resolve=resolve)
        found = await canaries.post(transport, site.endpoint(url))
        heard = len(site.requests) - before
        # Reached means: by the registered server. Anything else: by nobody.
        tally.note(url, found, found if heard == (found == REACHED) else f"{found} and {heard} requests")
        await transport.aclose()
    return tally


def _spelled(draw: random.Random, site: Site) -> str:
    host = draw.choice([_number, _within_ipv6, _escaped, _foreign, lambda _: NAME, lambda _: draw.choice(_HOSTS)])(draw)
    port = draw.choice(["{port}"] * 6 + ["{other}", "0{port}", "+{port}", " {port}", "{port}.", "", "65536"])
    front = draw.choice([""] * 6 + [f"{NAME}@", f"{NAME}:{{port}}@", "@", "user:word@", "\\", "//", f"{NAME}\\@"])
    scheme = draw.choice(["https://"] * 8 + ["http://", "HTTPS://", "https:", "https:\\\\", "//", "ftp://"])
    url = f"{scheme}{front}{host}:{port}{draw.choice(_TAILS)}"
    if draw.random() < 0.2:
        at = draw.randrange(len(url) + 1)
        url = url[:at] + draw.choice("\x00\t\r\n \\@#?%:[]./\u3002\uff0f\u200d\u00ad") + url[at:]
    return url


_HOSTS = (
    "localhost",
    "evil.example",
    "127.0.0.1",
    f"{NAME}.evil.example",
    "127.0.0.2.nip.example",
    NAME.upper(),
    "[::1]",
)
_TAILS = (
    "/",
    "",
    "/x",
    "/?u=https://127.0.0.2:{port}/",
    f"#@{NAME}:{{port}}/",
    f"/@{NAME}",
    "/%2e%2e/",
    "/..;/",
    "?@x/",
)


def _canary(draw: random.Random) -> tuple[int, ...]:
    return draw.choice([(127, 0, 0, 2), (127, 0, 0, 3), (169, 254, 169, 254), (10, 0, 0, 1), (0, 0, 0, 0)])


def _number(draw: random.Random) -> str:
    parts = list(_canary(draw))
    whole = draw.randrange(1, 5)
    last = int.from_bytes(bytes(parts[whole - 1 :]), "big")
    forms: list[Callable[[int], str]] = [str, lambda n: f"0{n:o}", lambda n: f"0x{n:x}", lambda n: f"{n:05d}"]
    text = ".".join(draw.choice(forms)(part) for part in (*parts[: whole - 1], last))
    return draw.choice([text, text, text.upper(), f"{text}.", text.replace(".", draw.choice(".。．｡"))])


def _within_ipv6(draw: random.Random) -> str:
    low = int.from_bytes(bytes(_canary(draw)), "big")
    prefixes = [0xFFFF << 32, 0, 0x64FF9B << 96, (0x2002 << 112) | (low << 80), 0x20010000 << 96, 0xFFFF << 48]
    value = draw.choice(prefixes) | low
    groups = [f"{(value >> shift) & 0xFFFF:x}" for shift in range(112, -16, -16)]
    dotted = ".".join(map(str, _canary(draw)))
    text = draw.choice([":".join(groups), f"::ffff:{dotted}", f"::{dotted}", f"64:ff9b::{dotted}", "::1%25lo", "::1"])
    return draw.choice([f"[{text}]", f"[{text.upper()}]", text, f"[{text}"])


def _escaped(draw: random.Random) -> str:
    text = ".".join(map(str, _canary(draw)))
    return "".join(f"%{ord(letter):02x}" if draw.random() < 0.4 else letter for letter in text)


def _foreign(draw: random.Random) -> str:
    text = draw.choice([NAME, ".".join(map(str, _canary(draw)))])
    wide = {letter: chr(ord(letter) + 0xFEE0) for letter in text if letter.isascii()}
    return "".join(wide[letter] if draw.random() < 0.3 else letter for letter in text)


def _plain(head: str) -> str:
    return head.split("\r\n")[0]


def _portless(endpoint: wire_servers.Endpoint) -> wire_servers.Endpoint:
    return wire_servers.Endpoint(**{**{n: getattr(endpoint, n) for n in endpoint.__slots__}, "port": None})
