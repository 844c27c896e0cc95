"""The people of the console on the command line, what the settings of a provider must say, and doctor's words."""

from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from pydantic import ValidationError

from service import i18n
from service.engine.hub import OPERATOR
from service.selfcheck import entries, means, outbound
from service.settings import Settings

pytest_plugins = ["command_fixtures"]


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings of a provider, in the environment too."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("a certificate")
    values = {
        "oidc_issuer": "https://sso.hub.vn/realms/hub",
        "oidc_client_id": "hoatoc",
        "oidc_client_secret": "u7Kq0vXc2mZr94Lt",
        "oidc_network": "10.20.0.15/32",
        "oidc_ca_file": str(ca_file),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"HOATOC_{name.upper()}", value)
    return values


def test_a_person_is_linked_unlinked_and_sent_home(provider: dict[str, Any], ready: Run) -> None:
    linked = ready("person", "link", "truc-ban", input="5b0c-9001\n")
    assert linked.exit_code == 0, linked.output
    # The runner shows what was typed; the answer comes behind it.
    told = linked.stdout.partition("\n")[2]
    assert f"participant_id: {OPERATOR}" in told and "5b0c" not in told
    taken = ready("person", "link", "nguoi-khac", "--name", "5b0c-9001")
    assert taken.exit_code == 1 and "provider_link.taken" in taken.output
    assert "links: 1" in ready("person", "unlink", "truc-ban").stdout
    assert "links: 0" in ready("person", "unlink", "truc-ban").stdout
    ready("sign-in-link", "truc-ban")
    home = ready("person", "send-home", "truc-ban", "--for-good", "--json")
    assert '"sessions": 0' in home.stdout and '"ways": 0' in home.stdout


def test_without_a_provider_nobody_is_linked(ready: Run) -> None:
    refused = ready("person", "link", "truc-ban", "--name", "9001")
    assert refused.exit_code == 1 and "provider.none" in refused.output


@pytest.mark.parametrize(
    "changes",
    [
        {"oidc_network": None},
        {"oidc_ca_file": None},
        {"oidc_client_secret": None},
        {"oidc_issuer": None},
        {"oidc_issuer": "http://sso.hub.vn"},
        {"oidc_issuer": "https://sso.hub.vn/?realm=x"},
        {"oidc_issuer": "https://user@sso.hub.vn/"},
        {"oidc_scopes": ("profile",)},
        {"oidc_network": "everywhere"},
    ],
)
def test_half_a_provider_and_one_without_tls_are_no_settings(provider: dict[str, Any], changes: dict[str, Any]) -> None:
    Settings(**provider)
    with pytest.raises(ValidationError) as refused:
        Settings(**{**provider, **changes})
    assert "u7Kq0vXc2mZr94Lt" not in str(refused.value)


def test_doctor_says_how_people_come_in(provider: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def said(**changes: Any) -> dict[str, tuple[str, str]]:
        return {check.name: (check.state, check.says) for check in entries.look(Settings(**changes))}

    assert said()["sign_in.provider"] == ("warning", "no_mfa")
    assert said(oidc_acr=("2fa",)) == {"sign_in.provider": ("ok", "ok"), "sign_in.ways": ("ok", "ok")}
    assert said(oidc_ca_file=Path("/nowhere/ca.pem"))["sign_in.provider"] == ("failed", "unreadable")
    # A secret that everybody knows stops the start.
    assert any(
        check.grave and check.says == "default" for check in means.before_start(Settings(oidc_client_secret="changeme"))
    )
    # The one address that is called because of it is named, with its network.
    named = [check.sentence("en") for check in outbound.look(Settings())]
    assert any("https://sso.hub.vn/realms/hub (10.20.0.15/32)" in sentence for sentence in named)
    for name in provider:
        monkeypatch.delenv(f"HOATOC_{name.upper()}")
    assert said()["sign_in.provider"] == ("warning", "none")
    off = said(sign_in_by_links=False, sign_in_by_passkeys=False)
    assert off["sign_in.ways"] == ("failed", "none")
    for lang in i18n.LANGUAGES:
        assert all(check.sentence(lang) for check in entries.look(Settings()))
