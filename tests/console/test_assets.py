"""The files that pages load: ours or vendored, all of them from here, each vendored one with its licence."""

import base64
import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest
from console_site import Site

from service.console import assets, vendoring

ROOT = Path(__file__).parents[2]
NOTICE = (ROOT / "NOTICE").read_text("utf-8")
ENTRIES = json.loads(vendoring.MANIFEST.read_text("utf-8"))
TEMPLATES = sorted((ROOT / "service/console/templates").glob("*.html"))


def test_every_vendored_file_is_the_one_that_the_manifest_names() -> None:
    named = {path: digest for entry in ENTRIES for path, digest in entry["files"].items()}
    there = {
        file.relative_to(vendoring.FOLDER).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in vendoring.FOLDER.rglob("*")
        if file.is_file() and file != vendoring.MANIFEST
    }
    assert there == named


def test_every_vendored_package_has_its_licence_and_stands_in_the_notice() -> None:
    assert [(entry["name"], entry["version"]) for entry in ENTRIES] == [
        (package.npm_name, package.version) for package in vendoring.PACKAGES
    ]
    for entry in ENTRIES:
        assert f"{entry['name']} {entry['version']}" in NOTICE
        assert entry["licence"] in NOTICE
        for path in entry["licence_files"]:
            assert path in entry["files"] and path in NOTICE


def test_what_is_served_is_what_the_manifest_names_and_what_the_pages_expect(site: Site) -> None:
    with httpx.Client(base_url=site.address) as client:
        for entry in ENTRIES:
            for path, digest in entry["files"].items():
                served = client.get(f"/static/vendor/{path}")
                assert (path, hashlib.sha256(served.content).hexdigest()) == (path, digest)
                expected = base64.b64encode(bytes.fromhex(digest)).decode()
                assert assets.asset(f"vendor/{path}").integrity == f"sha256-{expected}"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_no_template_has_a_script_a_style_or_an_address_of_elsewhere_in_it(template: Path) -> None:
    text = template.read_text("utf-8")
    assert re.findall(r"\sstyle=|\son\w+=|<style|javascript:|https?://|//\w+\.\w+", text) == []
    assert all("src=" in script for script in re.findall(r"<script[^>]*>", text))


def test_our_own_stylesheet_and_scripts_load_nothing_foreign() -> None:
    for file in assets.FOLDER.glob("*.*"):
        text = file.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert re.findall(r"https?://|@import|eval\(|innerHTML", text) == [], file.name
    assert (assets.FOLDER / "console.css").read_text("utf-8").count("\n") <= 400


def test_every_drawing_that_is_used_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([a-z-]+)"', (assets.FOLDER / "icons.svg").read_text("utf-8")))
    source = [*TEMPLATES, *(ROOT / "service/console").glob("*.py")]
    used = set()
    for file in source:
        text = file.read_text("utf-8")
        used |= set(re.findall(r"icon\('([a-z-]+)'\)", text))
        used |= set(re.findall(r"""\(["']([a-z-]+)["'], ["'](?:good|info|warn|bad|rung|quiet)["']\)""", text))
    assert {"flame", "ladder", "lock", "half"} <= used <= sprite


def test_a_file_is_kept_for_a_year_only_under_its_digest(site: Site) -> None:
    with httpx.Client(base_url=site.address) as client:
        addressed = client.get(assets.asset("console.css").url)
        assert addressed.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert client.get("/static/console.css").headers["cache-control"] == "public, max-age=300"
        assert client.get("/static/nothing.css?v=1").status_code == 404
        assert client.get("/static/..%2Fpages.py").status_code == 404
        page = client.get("/sign-in/x")
        assert page.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in client.get("/docs").headers["content-security-policy"]
