"""Rules that no linter of others knows: each is seen to find what it forbids, and finds nothing in the three rooms."""

import ast
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8"))
    for room in ("service", "adapters", "workflows")
    for path in sorted((ROOT / room).rglob("*.py"))
}
# What is meant, each once: a statement of our own tables' names; and a token of the identity provider, under one key
# and a list of algorithms, which two of the rules look at.
MEANT = [
    *("adapters/openid/tokens.py jwt.decode", "adapters/openid/tokens.py jwt.decode"),
    "service/inserting.py sa.text",
]
Rule = Callable[[ast.AST], bool]


@functools.cache
def _called(node: ast.AST) -> str:
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def _words(node: ast.AST) -> dict[str | None, ast.expr]:
    return {word.arg: word.value for word in node.keywords} if isinstance(node, ast.Call) else {}


def names_no_algorithm(node: ast.AST) -> bool:
    """A token or signature is made or verified without its algorithms being named on the spot."""
    if _called(node) in {"jws.sign"}:
        return "algorithm" not in _words(node)
    if _called(node) in {"jws.verify", "jwt.encode", "jwt.decode", "jws.deserialize_compact", "jws.serialize_compact"}:
        given = _words(node)
        return not ("registry" in given or isinstance(given.get("algorithms"), ast.List | ast.Tuple))
    return False


def decodes_a_token(node: ast.AST) -> bool:
    """The careless entries of token libraries: ``jwt.decode``, and what reads a token without verifying it."""
    return _called(node).rpartition(".")[2] in {
        "get_unverified_claims",
        "get_unverified_header",
        "get_unverified_headers",
    } or (_called(node).endswith(("jwt.decode", "jwe.decrypt", "jwe.encrypt")))


def computes_statements(node: ast.AST) -> bool:
    """SQL that is put together: a value of others could become a part of the statement."""
    if not isinstance(node, ast.Call) or not node.args:
        return False
    # A text of a page is no statement.
    if _called(node) not in {"sa.text", "sqlalchemy.text"} and not _called(node).endswith(".exec_driver_sql"):
        return False
    return isinstance(node.args[0], ast.JoinedStr | ast.BinOp) or (
        isinstance(node.args[0], ast.Call) and _called(node.args[0]).endswith((".format", ".join", ".replace"))
    )


def switches_a_check_off(node: ast.AST) -> bool:
    """TLS that checks nobody, a proxy of the environment, a redirect that is followed, a shell."""
    given = {name: value.value for name, value in _words(node).items() if isinstance(value, ast.Constant)}
    return (
        given.get("verify") is False
        or given.get("check_hostname") is False
        or given.get("trust_env") is True
        or given.get("follow_redirects") is True
        or given.get("shell") is True
        or _called(node).endswith("_create_unverified_context")
        or (isinstance(node, ast.Attribute) and node.attr == "CERT_NONE")
    )


def runs_text(node: ast.AST) -> bool:
    """Text that becomes code or objects."""
    return _called(node) in {"eval", "exec", "compile", "__import__"} or _called(node).partition(".")[0] in {
        "pickle",
        "marshal",
        "shelve",
        "yaml",
        "dill",
    }


def builds_a_pattern(node: ast.AST) -> bool:
    """A regular expression that is put together: what was sent could become a part of it."""
    called = _called(node).partition(".")
    if called[0] != "re" or called[2] == "escape" or not isinstance(node, ast.Call) or not node.args:
        return False
    return isinstance(node.args[0], ast.JoinedStr | ast.BinOp | ast.Call)


def defers_outside_the_database(node: ast.AST) -> bool:
    """Work that is promised by an answer and kept in memory alone."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in {"BackgroundTasks", "BackgroundTask"}


def counts_money_in_fractions(node: ast.AST) -> bool:
    """An amount that is a binary fraction, or is made one."""
    about = ("amount", "money", "minor_units", "balance")
    if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
        name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
        return any(word in name.lower() for word in about) and "float" in ast.unparse(node.annotation)
    return _called(node) == "float" and any(word in ast.unparse(node).lower() for word in about)


RULES: dict[Rule, tuple[str, ...]] = {
    names_no_algorithm: (
        "jws.verify(a, b, algorithms=None)",
        "jws.verify(a, b)",
        "jws.sign(a, b)",
        "jwt.encode(h, c, k)",
    ),
    decodes_a_token: (
        "jose.jwt.decode(t, k)",
        "jwt.decode(t, k, algorithms=['ES256'])",
        "jws.get_unverified_claims(t)",
    ),
    computes_statements: (
        'sa.text(f"SELECT {x}")',
        'conn.exec_driver_sql("SELECT " + x)',
        'sa.text("SELECT {}".format(x))',
        'sqlalchemy.text("SELECT %s" % x)',
    ),
    switches_a_check_off: (
        "httpx.AsyncClient(verify=False)",
        "context.verify_mode = ssl.CERT_NONE",
        "Client(trust_env=True)",
        "Client(follow_redirects=True)",
        "run(command, shell=True)",
    ),
    builds_a_pattern: ('re.search(f"{x}", y)', 're.compile("a" + x)', 're.sub("|".join(x), "", y)'),
    runs_text: ("eval(x)", "exec(x)", "pickle.loads(x)", "yaml.load(x)"),
    defers_outside_the_database: ("def door(later: BackgroundTasks): ...", "starlette.background.BackgroundTask(f)"),
    counts_money_in_fractions: ("amount: float = 0", "def pay(amount_held: float | None): ...", "float(body.amount)"),
}


def _found(tree: ast.AST, rule: Rule) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if rule(node))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_finds_what_it_forbids(rule: Rule) -> None:
    assert [sabotage for sabotage in RULES[rule] if not list(_found(ast.parse(sabotage), rule))] == []


def test_nothing_in_the_rooms_is_forbidden_but_what_is_meant() -> None:
    found = [
        f"{name} {_called(node)}" for name, tree in MODULES.items() for rule in RULES for node in _found(tree, rule)
    ]
    assert sorted(found) == MEANT
