"""The reference says what the code says: its tables, its names, and the options of the command line."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from hawser import Client, Config, PooledClient
from hawser.cli import main
from hawser.cli.settings import Store, read_settings
from hawser_engine import CloseCode, ErrorCode, GapReason, ResetReason
from hawser_engine.bindings.head import HeadLimits
from hawser_engine.bindings.longpoll import PollLimits
from hawser_engine.bindings.websocket import FrameLimits
from hawser_transports import ListenerSettings, MountSettings, PollSettings, WireSettings
from scripts import reference

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parents[2]
COMMAND_LINE: Final = (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8")
OPTION: Final = re.compile(r"--[a-z][a-z-]+")
COMMANDS: Final = {
    "serve": ("serve",),
    "sub": ("sub",),
    "pub": ("pub",),
    "post": ("post",),
    "mailbox": ("mailbox",),
    "presence": ("presence",),
    "call": ("call",),
    "contract": ("contract",),
    "demo": ("demo",),
    "bench": ("bench echo", "bench fanout", "bench connect", "bench resume"),
}
PUBLIC: Final = (
    "hawser",
    "hawser.contract",
    "hawser.testing",
    "hawser.brokers",
    "hawser.brokers.sqlite",
    "hawser.client.states",
    "hawser_transports",
    "hawser_engine",
)


# ---------------------------------------------------------------- tables


def test_the_tables_are_up_to_date() -> None:
    assert reference.main(["--check"]) == 0


def test_a_table_that_is_not_is_reported_and_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated:Tls -->\nold\n<!-- /generated:Tls -->\nafter\n", encoding="utf-8")
    assert reference.main(["--check"], tmp_path) == 1
    assert "fix: python scripts/reference.py" in capsys.readouterr().err
    assert reference.main([], tmp_path) == 0
    assert reference.main(["--check"], tmp_path) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- generated:Tls -->\n\n| field |")
    assert text.endswith("\n<!-- /generated:Tls -->\nafter\n")
    assert "old" not in text


def test_a_table_that_nothing_writes_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"no table is called Nothing; there are Config, .*GapReason"):
        reference.rewritten("<!-- generated:Nothing -->\n<!-- /generated:Nothing -->\n")


def test_every_field_and_every_code_has_its_row() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    fields = [
        field.name
        for cls in (
            Config,
            ListenerSettings,
            HeadLimits,
            WireSettings,
            MountSettings,
            FrameLimits,
            PollSettings,
            PollLimits,
        )
        for field in attrs.fields(cls)
        if field.name not in ("head", "wire", "limits", "mounts")
    ]
    store = [field.name for field in attrs.fields(Store)]
    assert rows == [*fields, "listen", "app", "origins", "certificate", "key", *store]
    codes = (ROOT / "docs/reference/codes.md").read_text(encoding="utf-8")
    numbered = [(int(number), name) for number, name in re.findall(r"^\| (\d+) \| (\w+) \|", codes, re.MULTILINE)]
    assert numbered == [
        (each.value, each.name) for registry in (CloseCode, ResetReason, ErrorCode, GapReason) for each in registry
    ]


def test_what_a_pool_leaves_out_is_told() -> None:
    page = (ROOT / "docs/how-to/stay-connected.md").read_text(encoding="utf-8")
    _, _, table = page.partition("\n### What a pool leaves out\n")
    told = {name for row in re.findall(r"^\|([^|]*)", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    methods = {name: vars(Client)[name] for name in vars(Client) if not name.startswith("_")}
    left_out = {name for name in methods if not hasattr(PooledClient, name)}
    for name in methods.keys() - left_out:
        if inspect.isfunction(methods[name]):
            options = [set(inspect.signature(each).parameters) for each in (methods[name], vars(PooledClient)[name])]
            missing = options[0] - options[1]
            left_out |= {name, *missing} if missing else set()
    assert told == left_out


# ---------------------------------------------------------------- the command line


def section(command: str) -> str:
    """What the page says under the heading of a command."""
    _, _, rest = COMMAND_LINE.partition(f"\n## {command}\n")
    assert rest, command
    return rest.partition("\n## ")[0]


def options(texts: Iterable[str]) -> set[str]:
    """The options that texts name, but those that every command has."""
    return {option for text in texts for option in OPTION.findall(text)} - {"--help", "--version"}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_the_options_that_its_section_names(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    helps: list[str] = []
    for words in COMMANDS[command]:
        assert main([*words.split(), "--help"]) == 0
        helps.append(capsys.readouterr().out.partition("Parameters")[2])
    assert options(helps) == options([section(command)])


def test_every_command_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands")[2].partition("╰")[0]
    commands = re.findall(r"^│ ([a-z]+) +\w", listed, re.MULTILINE)
    assert sorted(commands) == sorted(COMMANDS)
    assert sorted(re.findall(r"^\| `hawser ([a-z]+)", COMMAND_LINE, re.MULTILINE)) == sorted(COMMANDS)


def test_the_configuration_that_is_shown_is_taken(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", COMMAND_LINE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "hawser.toml"
    file.write_text(shown, encoding="utf-8")
    settings = read_settings(file)
    assert (settings.listen, settings.app) == (("wss://0.0.0.0:443/chat",), "chat:app")
    assert settings.limits == Config(resume_period_seconds=300)
    assert settings.store == Store("chat.db", "full")
    assert settings.listener == ListenerSettings(connections_per_address=1_000, proxies=("10.0.0.0/8",))


# ---------------------------------------------------------------- the site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it, without a warning."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    settings = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    for source in ("engine", "transports", "runtime"):
        settings = settings.replace(f'"{source}"', f'"{ROOT / source}"')
    (folder / "zensical.toml").write_text(settings, encoding="utf-8")
    run = subprocess.run(
        [str(Path(sys.executable).with_name("zensical")), "build", "--strict"],
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No issues found" in run.stdout + run.stderr
    return folder / "site"


@pytest.mark.slow
def test_every_public_name_is_in_the_site(site: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in site.glob("reference/*/index.html")]
    shown = {name.rpartition(".")[2] for page in pages for name in re.findall(r'<h\d id="(hawser[\w.]+)"', page)}
    missing = [
        f"{module}.{name}"
        for module in PUBLIC
        for name in importlib.import_module(module).__all__
        if name not in shown and name != "states"  # a module, whose names are shown
    ]
    assert missing == []


@pytest.mark.slow
def test_every_link_inside_the_site_leads_to_a_place_that_is_there(site: Path) -> None:
    places = {
        page: set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8"))) for page in site.rglob("index.html")
    }
    broken = [
        f"{page.relative_to(site)}: {target}"
        for page in places
        for target in re.findall(r'<a [^>]*href="([^":]+)"', page.read_text(encoding="utf-8"))
        if not _leads_somewhere(page, target, places)
    ]
    assert broken == []


def _leads_somewhere(page: Path, target: str, places: dict[Path, set[str]]) -> bool:
    path, _, fragment = target.partition("#")
    there = page if not path else (page.parent / path).resolve()
    if there.is_dir():
        there /= "index.html"
    return there.is_file() and (not fragment or fragment in places.get(there, {fragment}))
