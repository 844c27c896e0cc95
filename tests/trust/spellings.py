"""The table behind P16: ways to name a place that nobody registered, and what must come of each.

The registered endpoint is ``bank.example`` at 127.0.0.1 and ``{port}``. Canaries listen at the same port of 127.0.0.2,
127.0.0.3 and ::1, and at ``{other}`` of 127.0.0.1. The resolver of these tests is on the attacker's side: it reads
every spelling of an address that any resolver reads, and leads every unknown name to a canary.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

MALFORMED = "url.malformed"
NOT_TLS = "url.not_tls"
ELSEWHERE = "address.not_registered"
REACHED = "reached"

_LONG_LABEL = "a" * 64
_LONG_NAME = ".".join(["a" * 60] * 4 + ["abcdefghij"])

# What the URL of an endpoint may be spelled like, by what the transport must say of it.
URLS: Mapping[str, Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "literal addresses": {
            ELSEWHERE: (
                *("https://127.0.0.2:{port}/", "https://127.0.0.3:{port}/", "https://127.0.0.1:{other}/"),
                *("https://0.0.0.0:{port}/", "https://127.255.255.254:{port}/", "https://255.255.255.255:{port}/"),
                *("https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://8.8.8.8/"),
                *("https://224.0.0.1/", "https://240.0.0.1/", "https://100.64.0.1/", "https://198.18.0.1/"),
                *("https://169.254.169.254/latest/meta-data/", "https://100.100.100.200/", "https://168.63.129.16/"),
                *("https://192.0.0.192/", "https://metadata.internal/", "https://169.254.170.2/v2/credentials"),
            )
        },
        "encoded addresses": {
            MALFORMED: (
                *("https://2130706434:{port}/", "https://0x7f000002:{port}/", "https://017700000002:{port}/"),
                *("https://0x7f.0.0.2:{port}/", "https://0x7f.0x0.0x0.0x2:{port}/", "https://0X7F.0.0.2:{port}/"),
                *("https://0177.0.0.2:{port}/", "https://0177.0.0.02:{port}/", "https://00177.0.0.2:{port}/"),
                *("https://127.2:{port}/", "https://127.0.2:{port}/", "https://127:{port}/", "https://0:{port}/"),
                *("https://127.0.0.0x2:{port}/", "https://127.0.0.002:{port}/", "https://127.000.000.002:{port}/"),
                *("https://127.0.0.2.:{port}/", "https://127.0.0.2..:{port}/", "https://.127.0.0.2:{port}/"),
                *("https://127..0.2:{port}/", "https://127.0.0.258:{port}/", "https://383.0.0.2:{port}/"),
                *("https://127.0.0.2.0:{port}/", "https://6425673730:{port}/", "https://-2130706434:{port}/"),
                *(
                    "https://127.0.0.2e0:{port}#",
                    "https://1.27e2:{port}#",
                    "https://0x:{port}/",
                    "https://0x7f.2:{port}/",
                ),
                *("https://127.0.00002:{port}/", "https://bank.example.2:{port}/", "https://bank.0x2:{port}/"),
            )
        },
        "escaped hosts": {
            MALFORMED: (
                *("https://127.0.0.%32:{port}/", "https://%31%32%37.0.0.2:{port}/", "https://127%2e0%2e0%2e2:{port}/"),
                *("https://bank.example%2f@127.0.0.2:{port}/", "https://bank%2eexample:{port}/"),
                *("https://bank.example%00.evil.example:{port}/", "https://%5b::1%5d:{port}/", "https://%6c:{port}/"),
                *("https://127.0.0.2%3a{port}/", "https://bank.example%40127.0.0.2:{port}/", "https://%:{port}/"),
                *("https://bank.example%0d%0aHost:127.0.0.2:{port}/", "https://127.0.0.%2532:{port}/"),
            )
        },
        "letters and digits of other scripts": {
            MALFORMED: (
                *("https://１２７.０.０.２:{port}/", "https://127。0。0。2:{port}/", "https://127．0．0．2:{port}/"),
                *("https://127｡0｡0｡2:{port}/", "https://①②⑦.⓪.⓪.②:{port}/", "https://𝟏𝟐𝟕.𝟎.𝟎.𝟐:{port}/"),
                *("https://١٢٧.٠.٠.٢:{port}/", "https://ｂank.example:{port}/", "https://bаnk.example:{port}/"),
                *(
                    "https://bank.example\u200d:{port}/",
                    "https://bank\u00ad.example:{port}/",
                    "https://ｌocalhost:{port}/",
                ),
                *("https://bank.example\u3002evil.example:{port}/", "https://ban\u212a.example:{port}/"),
                *("https://bank.example\uff0fevil.example:{port}/", "https://evil.c\u2100.example:{port}/"),
                *("https://bank.example\uff20127.0.0.2:{port}/", "https://bank.example:\uff11\uff12/"),
                *("https://ngân-hàng.example:{port}/", "https://bank.example\u202e:{port}/", "https\uff1a//127.0.0.2/"),
            ),
            ELSEWHERE: ("https://xn--bnk-6cd.example:{port}/", "https://xn--lcalhost-54a:{port}/"),
        },
        "users in front": {
            MALFORMED: (
                *("https://bank.example@127.0.0.2:{port}/", "https://bank.example:{port}@127.0.0.2:{port}/"),
                *(
                    "https://user:word@bank.example:{port}/",
                    "https://@127.0.0.2:{port}/",
                    "https://:@127.0.0.2:{port}/",
                ),
                *("https://127.0.0.2:{port}@bank.example:{port}/", "https://bank.example@@127.0.0.2:{port}/"),
                *("https://a@bank.example@127.0.0.2:{port}/", "https://bank.example:{port};@127.0.0.2:{port}/"),
            )
        },
        "backslashes": {
            MALFORMED: (
                *(r"https:\\127.0.0.2:{port}\ "[:-1], r"https:/\127.0.0.2:{port}/", r"https:\/127.0.0.2:{port}/"),
                *(r"https://bank.example:{port}\@127.0.0.2:{port}/", r"https://127.0.0.2:{port}\.bank.example/"),
                *(r"https://bank.example\.evil.example:{port}/", r"https://\127.0.0.2:{port}/"),
                *(r"https://bank.example:{port}/\127.0.0.2", r"https://bank.example:{port}\/127.0.0.2/"),
            )
        },
        "blanks and controls": {
            MALFORMED: (
                *(" https://127.0.0.2:{port}/", "https://127.0.0.2:{port}/ ", "https://127.0.0.2:{port}/\n"),
                *("https://bank.example:{port}/\n", "https://127.0.0.2:{port}\t/", "ht\ntps://127.0.0.2:{port}/"),
                *("https://bank.example\r\nHost: 127.0.0.2:{port}/", "https://bank.example:{port}/\r\nX: y"),
                *("https://bank.example\x00.evil.example:{port}/", "https://bank.example\x00:{port}/"),
                *("https://bank.example :{port}/", "https://bank.example: {port}/", "https:// 127.0.0.2:{port}/"),
                *(
                    "\u00a0https://127.0.0.2:{port}/",
                    "\ufeffhttps://127.0.0.2:{port}/",
                    "https://127.0.0.2\u2028:{port}/",
                ),
                *("https://bank.example\x7f:{port}/", "https://bank.example\x1b[2J:{port}/", "\x00https://127.0.0.2/"),
            )
        },
        "other schemes": {
            MALFORMED: (
                *("HTTPS://127.0.0.2:{port}/", "Https://bank.example:{port}/", "httpS://bank.example:{port}/"),
                *("ftp://127.0.0.2:{port}/", "file:///etc/passwd", "gopher://127.0.0.2:{port}/_x", "data:,x"),
                *("//127.0.0.2:{port}/", "https:/127.0.0.2:{port}/", "https:127.0.0.2:{port}/", "https:///127.0.0.2/"),
                *("https://", "https:", "", "127.0.0.2:{port}", "bank.example:{port}/", "wss://127.0.0.2:{port}/"),
                *("httpss://127.0.0.2:{port}/", "https+unix://%2frun%2fx.sock/", "unix:/run/x.sock", "jar:https://a/"),
                *("https://https://127.0.0.2:{port}/", "url:https://127.0.0.2:{port}/", "view-source:https://a/"),
            ),
            NOT_TLS: ("http://127.0.0.2:{port}/", "http://bank.example:{port}/", "http://[::1]:{port}/", "http://"),
        },
        "ports": {
            MALFORMED: (
                *("https://bank.example:0/", "https://bank.example:65536/", "https://bank.example:99999/"),
                *("https://bank.example:-1/", "https://bank.example:+{port}/", "https://bank.example:0{port}/"),
                *("https://bank.example:{port}./", "https://bank.example:{port}x/", "https://bank.example::{port}/"),
                *("https://bank.example:/", "https://bank.example:{port}:{other}/", "https://bank.example:0x1f90/"),
                *("https://bank.example:1e3/", "https://bank.example:٤٤٣/", "https://bank.example:{port},{other}/"),
                *("https://bank.example:{port}_0/", "https://bank.example:4294967739/", "https://:{port}/"),
            ),
            ELSEWHERE: ("https://bank.example:{other}/", "https://bank.example/", "https://bank.example:1/"),
        },
        "addresses within IPv6": {
            MALFORMED: (
                *("https://[::ffff:127.0.0.2]:{port}/", "https://[::127.0.0.2]:{port}/"),
                *("https://[64:ff9b::127.0.0.2]:{port}/", "https://[::FFFF:7F00:2]:{port}/"),
                *("https://[::1%25lo]:{port}/", "https://[::1%lo]:{port}/", "https://[fe80::1%251]:{port}/"),
                *("https://[0:0:0:0:0:0:0:1]:{port}/", "https://[0000::1]:{port}/", "https://[::0001]:{port}/"),
                *("https://::1:{port}/", "https://[::1:{port}/", "https://::1]:{port}/", "https://[[::1]]:{port}/"),
                *("https://[::1]evil.example:{port}/", "https://[::1].bank.example:{port}/", "https://[]:{port}/"),
                *("https://[v1.fe80::a]:{port}/", "https://[:]:{port}/", "https://[1::2::3]:{port}/"),
                *(
                    "https://[::ffff:0x7f.0.0.2]:{port}/",
                    "https://[::ffff:7f000002]:{port}/",
                    "https://[127.0.0.2]:{port}/",
                ),
                *("https://[bank.example]:{port}/", "https://[::1]]:{port}/", "https://[2001:DB8::1]:{port}/"),
            ),
            ELSEWHERE: (
                *(
                    "https://[::1]:{port}/",
                    "https://[::]:{port}/",
                    "https://[::2]:{port}/",
                    "https://[::7f00:2]:{port}/",
                ),
                *("https://[64:ff9b::7f00:2]:{port}/", "https://[64:ff9b:1::7f00:2]:{port}/"),
                *("https://[2002:7f00:2::1]:{port}/", "https://[2001:0:7f00:2::1]:{port}/"),
                *("https://[fe80::5efe:7f00:2]:{port}/", "https://[2001:db8::200:5efe:7f00:2]:{port}/"),
                *("https://[::ffff:0:7f00:2]:{port}/", "https://[fec0::1]:{port}/", "https://[ff02::1]:{port}/"),
                *("https://[100::1]:{port}/", "https://[fd00:ec2::254]/", "https://[fd00::1]:{port}/"),
            ),
        },
        "names": {
            MALFORMED: (
                *("https://localhost.:{port}/", "https://LOCALHOST:{port}/", "https://bank.example.:{port}/"),
                *("https://BANK.example:{port}/", "https://bank..example:{port}/", "https://.bank.example:{port}/"),
                *("https://bank_a.example:{port}/", "https://-bank.example:{port}/", "https://bank-.example:{port}/"),
                *(f"https://{_LONG_LABEL}.example:{{port}}/", f"https://{_LONG_NAME}:{{port}}/", "https://.:{port}/"),
                *("https://bank.example,127.0.0.2:{port}/", "https://bank.example;127.0.0.2:{port}/"),
                *("https://*.example:{port}/", "https://bank'.example:{port}/", 'https://bank".example:{port}/'),
                *("https://bank.example<127.0.0.2:{port}/", "https://bank.example|127.0.0.2:{port}/"),
                *("https://bank.example^:{port}/", "https://`bank`.example:{port}/", "https://$(bank).example:{port}/"),
                *("https://bank.example&127.0.0.2:{port}/", "https://bank=example:{port}/", "https://~:{port}/"),
            ),
            ELSEWHERE: (
                *(
                    "https://localhost:{port}/",
                    "https://bank.localhost:{port}/",
                    "https://localhost.localdomain:{port}/",
                ),
                *("https://ip6-localhost:{port}/", "https://evil.example:{port}/", "https://evilbank.example:{port}/"),
                *("https://bank.example.evil.example:{port}/", "https://127.0.0.2.nip.example:{port}/"),
                *("https://7f000002.rebind.example:{port}/", "https://bank-example:{port}/", "https://bank:{port}/"),
                *(
                    "https://127-0-0-2.example:{port}/",
                    "https://0x7f000002.example:{port}/",
                    "https://bank.exampl:{port}/",
                ),
            ),
        },
        "behind the host": {
            MALFORMED: (
                *("https://bank.example:{port}#@127.0.0.2:{port}/", "https://127.0.0.2:{port}#@bank.example:{port}/"),
                *("https://bank.example:{port}?@127.0.0.2:{port}/", "https://127.0.0.2:{port}?x=bank.example"),
                *(
                    "https://bank.example:{port}/#127.0.0.2",
                    "https://bank.example:{port}/a b",
                    "https://bank.example:{port}/ä",
                ),
                *(
                    "https://bank.example:{port}/%zz",
                    "https://bank.example:{port}/%",
                    "https://bank.example:{port}/<x>",
                ),
                *(
                    'https://bank.example:{port}/"',
                    "https://bank.example:{port}/[x]",
                    "https://bank.example:{port}/{{x}}",
                ),
                *("https://bank.example:{port}/?a#b", "https://bank.example:{port}/^", "https://bank.example:{port}/|"),
            )
        },
        "the registered one": {
            REACHED: (
                *("https://bank.example:{port}/", "https://bank.example:{port}", "https://127.0.0.1:{port}/"),
                *("https://bank.example:{port}//127.0.0.2:{port}/", "https://bank.example:{port}/@127.0.0.2/"),
                *("https://bank.example:{port}/?url=https://127.0.0.2:{port}/", "https://bank.example:{port}/../../x"),
                *("https://bank.example:{port}/%2e%2e/%00?%0d%0aHost:%20127.0.0.2", "https://bank.example:{port}/?a?b"),
                *("https://bank.example:{port}/https://127.0.0.2:{port}/", "https://bank.example:{port}/:@/;,=$!*()'"),
            )
        },
    }
)

# What a resolver may answer for the registered name, by what must come of it.
ANSWERS: Mapping[str, Sequence[Sequence[str]]] = MappingProxyType(
    {
        REACHED: (
            *(("127.0.0.1",), ("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "127.0.0.2"), ("::1", "127.0.0.1")),
            *(("127.0.0.2", "127.0.0.3", "::1", "127.0.0.1"), ("169.254.169.254", "127.0.0.1"), ("", "127.0.0.1")),
            *(("127.0.0.1",) * 5, ("127.0.0.2",) * 300 + ("127.0.0.1",), ("::ffff:127.0.0.2", "127.0.0.1")),
            *(("127.0.0.02", "127.0.0.1"), ("localhost", "127.0.0.1"), ("fe80::1%lo", "127.0.0.1")),
        ),
        ELSEWHERE: (
            *((), ("127.0.0.2",), ("127.0.0.3", "127.0.0.2"), ("::1",), ("0.0.0.0",), ("::",), ("169.254.169.254",)),
            *(("::ffff:127.0.0.1",), ("::ffff:7f00:1",), ("::127.0.0.1",), ("::7f00:1",), ("64:ff9b::7f00:1",)),
            *(("2002:7f00:1::",), ("2001:0:7f00:1::",), ("fe80::5efe:7f00:1",), ("::ffff:0:7f00:1",)),
            *(("127.1",), ("0x7f.0.0.1",), ("0177.0.0.1",), ("127.0.0.01",), ("2130706433",), ("127.0.0.1.",)),
            *((" 127.0.0.1",), ("127.0.0.1 ",), ("127.0.0.1\x00",), ("127.0.0.1%lo",), ("127.0.0.1/32",)),
            *(("localhost",), ("bank.example",), ("",), ("[127.0.0.1]",), ("127.0.0.1:443",), ("１２７.0.0.1",)),
        ),
        "name.unresolved": (("!OSError",), ("!UnicodeError",)),
    }
)

# What a name answers at one call after the other, and what must come of each call.
REBINDINGS: Sequence[Sequence[tuple[str, str]]] = (
    (("127.0.0.1", REACHED), ("127.0.0.2", ELSEWHERE), ("127.0.0.2", ELSEWHERE)),
    (("127.0.0.2", ELSEWHERE), ("127.0.0.1", REACHED), ("127.0.0.2", ELSEWHERE)),
    (("127.0.0.1", REACHED), ("::1", ELSEWHERE), ("127.0.0.1", REACHED), ("127.0.0.3", ELSEWHERE)),
    (("127.0.0.1", REACHED), ("169.254.169.254", ELSEWHERE)),
    (("127.0.0.1", REACHED), ("::ffff:127.0.0.2", ELSEWHERE)),
    (("127.0.0.1", REACHED), ("10.0.0.1", ELSEWHERE)),
)

# Headers and bodies with which a participant's server tries to send the hub on, by what must come of it.
_PLACES = (
    *("https://127.0.0.2:{port}/", "http://127.0.0.3:{port}/", "//127.0.0.2:{port}/", "https://bank.example:{other}/"),
    *("/elsewhere", r"\\127.0.0.2:{port}\x", "https://bank.example@127.0.0.2:{port}/", "file:///etc/passwd", ""),
)
REPLIES: Sequence[tuple[str, Sequence[str], str, str]] = (
    *(
        (status, (f"Location: {place}",), "", "http.redirect")
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent")
        for place in _PLACES
    ),
    ("300 Multiple Choices", ("Location: https://127.0.0.2:{port}/",), "", "http.redirect"),
    ("304 Not Modified", ("Location: https://127.0.0.2:{port}/",), "", "http.redirect"),
    ("305 Use Proxy", ("Location: http://127.0.0.3:{port}/",), "", "http.redirect"),
    ("200 OK", ("Refresh: 0; url=https://127.0.0.2:{port}/",), "", REACHED),
    ("200 OK", ('Alt-Svc: h2="127.0.0.2:{port}", h3=":{other}"; ma=86400; persist=1',), "", REACHED),
    ("200 OK", ("Location: https://127.0.0.2:{port}/", "Content-Location: https://127.0.0.2:{port}/"), "", REACHED),
    ("200 OK", ("Link: <https://127.0.0.2:{port}/>; rel=preload",), "", REACHED),
    ("200 OK", (), '<meta http-equiv="refresh" content="0;url=https://127.0.0.2:{port}/">', REACHED),
    ("200 OK", (), '<script>location="https://127.0.0.2:{port}/"</script>', REACHED),
    ("201 Created", ("Location: https://127.0.0.2:{port}/",), "", REACHED),
    ("401 Unauthorized", ("WWW-Authenticate: Basic realm=x", "Location: https://127.0.0.2:{port}/"), "", "http.401"),
    ("407 Proxy Authentication", ("Proxy-Authenticate: Basic realm=x",), "", "http.407"),
    ("421 Misdirected Request", ('Alt-Svc: h2="127.0.0.2:{port}"',), "", "http.421"),
    ("503 Unavailable", ("Retry-After: 0", "Location: https://127.0.0.2:{port}/"), "", "http.503"),
    ("101 Switching Protocols", ("Upgrade: h2c", "Connection: upgrade"), "", "connection.broken"),
)

# Variables that other programs let lead them elsewhere; the proxy's place is a canary's.
VARIABLES: Sequence[tuple[str, str]] = (
    *(
        (name, f"{scheme}://127.0.0.3:{{port}}")
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
        for scheme in ("http", "https", "socks5")
    ),
    *(("REQUESTS_CA_BUNDLE", "{hostile}"), ("CURL_CA_BUNDLE", "{hostile}"), ("SSL_CERT_FILE", "{hostile}")),
    *(
        ("SSL_CERT_DIR", "{folder}"),
        ("NETRC", "{netrc}"),
        ("SSLKEYLOGFILE", "{folder}/keys"),
        ("HOSTALIASES", "{aliases}"),
    ),
    *(("NO_PROXY", ""), ("no_proxy", "*"), ("LOCALDOMAIN", "evil.example"), ("RES_OPTIONS", "ndots:9")),
)

# Networks that participants really sit in, each with addresses within it and the nearest ones outside.
PRIVATE: Sequence[tuple[str, Sequence[str], Sequence[str]]] = (
    ("10.0.0.5/32", ("10.0.0.5",), ("10.0.0.4", "10.0.0.6")),
    ("10.20.4.0/24", ("10.20.4.0", "10.20.4.77", "10.20.4.255"), ("10.20.3.255", "10.20.5.0")),
    ("10.255.0.0/16", ("10.255.0.1", "10.255.255.254"), ("10.254.255.255", "11.0.0.0")),
    ("172.16.0.0/16", ("172.16.0.1", "172.16.255.255"), ("172.15.255.255", "172.17.0.0")),
    ("172.31.255.128/25", ("172.31.255.128", "172.31.255.254"), ("172.31.255.127", "172.32.0.0")),
    ("192.168.0.0/16", ("192.168.0.1", "192.168.255.1"), ("192.167.255.255", "192.169.0.0")),
    ("100.64.0.0/16", ("100.64.0.1", "100.64.200.9"), ("100.63.255.255", "100.65.0.0")),
    ("198.18.7.0/24", ("198.18.7.1",), ("198.18.8.0",)),
    ("203.0.113.0/24", ("203.0.113.7", "203.0.113.255"), ("203.0.112.255", "203.0.114.0")),
    ("fd12:3456:789a::/48", ("fd12:3456:789a::1", "fd12:3456:789a:ffff::7"), ("fd12:3456:789b::", "fd12:3456:7899::1")),
    ("fc00:1::/64", ("fc00:1::5",), ("fc00:1:0:1::5", "fc00::5")),
    ("2001:db8:1::/48", ("2001:db8:1::25", "2001:db8:1:2::1"), ("2001:db8:2::", "2001:db8::1")),
    ("2001:db8:5::7/128", ("2001:db8:5::7",), ("2001:db8:5::6", "2001:db8:5::8")),
)
PORTS = (443, 8443, 1, 65535)
