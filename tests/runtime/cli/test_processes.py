"""The commands as scripts use them: processes, real sockets, signals."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
import trio
import trustme

from tests.faults.processes import completed, hawser, running, serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

APP = """
from hawser import App, Principal
app = App()
app.channel("*", history=100, open=True)
@app.authenticate
async def authenticate(credentials):
    return Principal("ada") if credentials.get("token") == "secret" else None
"""


@pytest.mark.parametrize("transport", ["ws", "poll"])
async def test_what_is_published_is_printed_once_and_in_order(transport: str) -> None:
    command = ("c", "--count", "1001", "--transport", transport)
    async with serving() as (_, url), running(*hawser("sub", url, *command)) as sub:
        assert await sub.err.count(1) == ["subscribed c"]
        assert await completed("pub", url, "c", '{"text": "é"}', "--transport", transport) == (0, "", "")
        assert await completed("pub", url, "c", stdin="".join(f"{n}\n" for n in range(1_000))) == (0, "", "")
        assert await sub.wait() == 0
    lines = [json.loads(text) for text in sub.out.texts]
    assert [line["data"] for line in lines] == [{"text": "é"}, *range(1_000)]
    assert [line["offset"] for line in lines] == list(range(1, 1_002))
    assert sub.err.texts == ["subscribed c"]


async def test_an_offset_reads_history_and_an_epoch_names_one_order() -> None:
    async with serving() as (_, url):
        await completed("pub", url, "c", stdin="1\n2\n3\n")
        code, out, _ = await completed("sub", url, "c", "--since", "1", "--count", "2")
        lines = [json.loads(line) for line in out.splitlines()]
        assert (code, [line["data"] for line in lines]) == (0, [2, 3])
        since = f"{lines[0]['epoch']}:{lines[0]['offset']}"
        code, out, _ = await completed("sub", url, "c", "--since", since, "--count", "1")
        assert (code, json.loads(out)["data"]) == (0, 3)


async def test_letters_wait_and_each_is_printed_once() -> None:
    box = "agent:clerk"
    async with serving() as (_, url):
        assert await completed("post", url, box, '{"text": "é"}', "--ttl", "60") == (0, "", "")
        assert await completed("post", url, box, stdin="1\n2\n") == (0, "", "")
        code, out, err = await completed("mailbox", url, box, "--count", "1")
        assert (code, json.loads(out)["data"], err) == (0, {"text": "é"}, f"holding {box}\n")
        async with running(*hawser("mailbox", url, box)) as mailbox:
            await mailbox.out.count(2)
            assert await completed("post", url, box, "3") == (0, "", "")
            await mailbox.out.count(3)
            mailbox.send(signal.SIGINT)
            assert await mailbox.wait() == 130
        assert [json.loads(line)["data"] for line in mailbox.out.texts] == [1, 2, 3]
        # Whoever held it before may be noticed as gone a moment after its process is.
        assert mailbox.err.texts in (
            [f"holding {box}"],
            [f"waiting for {box}, which another session holds", f"holding {box}"],
        )
        await completed("post", url, box, "4")
        _, out, _ = await completed("mailbox", url, box, "--count", "1")
        assert (json.loads(out)["data"], json.loads(out)["tries"]) == (4, 0)


async def test_who_is_killed_with_the_mailbox_of_an_agent_blocks_it_for_some_seconds() -> None:
    """SPEC AGT-9: and not for the 120 s that sessions live without a link else; what it had printed may come again."""
    box = "agent:clerk"
    async with serving() as (_, url):
        async with running(*hawser("mailbox", url, box)) as killed:
            await killed.err.until(f"^holding {box}$")
            killed.kill()
            assert await killed.wait() == -signal.SIGKILL
        assert await completed("post", url, box, "1") == (0, "", "")
        begun = trio.current_time()
        code, out, _ = await completed("mailbox", url, box, "--count", "1")
        assert (code, json.loads(out)["data"], json.loads(out)["tries"]) == (0, 1, 0)
        assert 5 < trio.current_time() - begun < 60


async def test_what_is_volatile_is_printed_by_who_is_there_and_kept_for_nobody() -> None:
    async with serving() as (_, url), running(*hawser("sub", url, "c", "--count", "2")) as sub:
        await sub.err.count(1)
        assert await completed("pub", url, "c", "1", "--volatile") == (0, "", "")
        await sub.out.count(1)
        assert await completed("pub", url, "c", "2") == (0, "", "")
        assert await sub.wait() == 0
        _, out, _ = await completed("sub", url, "c", "--since", "0", "--count", "1")
    lines = [json.loads(text) for text in sub.out.texts]
    assert [(line["offset"], line.get("volatile"), line["data"]) for line in lines] == [(0, True, 1), (1, None, 2)]
    assert json.loads(out)["data"] == 2


async def test_each_of_two_sees_the_other_come_and_go() -> None:
    def seen(lines: list[str]) -> list[tuple[str, str]]:
        return [(line["what"], line["info"]) for line in map(json.loads, lines)]

    def names(lines: list[str]) -> list[str]:
        """Who is there: whoever came within the same second as another is in the list, or joins after it."""
        return sorted(info for _, info in seen(lines))

    def presence(url: str, name: str) -> tuple[str, ...]:
        return hawser("presence", url, "room:lobby", "--as", f'"{name}"')

    async with serving() as (_, url), running(*presence(url, "ada")) as ada:
        await ada.err.until("^watching room:lobby: [01] there$")
        assert names(await ada.out.count(1)) == ["ada"]
        async with running(*presence(url, "bob")) as bob:
            await bob.err.until("^watching room:lobby: [12] there$")
            assert names(await bob.out.count(2)) == ["ada", "bob"]
            assert seen(await ada.out.count(2))[1:] == [("join", "bob")]
            bob.send(signal.SIGINT)
            assert await bob.wait() == 130
        assert seen(await ada.out.count(3))[2:] == [("leave", "bob")]
        async with running(*presence(url, "bob")) as bob:
            await bob.out.count(2)
            await ada.out.count(4)
            ada.send(signal.SIGINT)
            assert await ada.wait() == 130
            assert seen(await bob.out.count(3))[2:] == [("leave", "ada")]
            async with running(*presence(url, "ada")) as again:
                assert seen(await bob.out.count(4))[3:] == [("join", "ada")]
                for program in (again, bob):
                    program.send(signal.SIGINT)
                    assert await program.wait() == 130
    assert seen(ada.out.texts)[1:] == [("join", "bob"), ("leave", "bob"), ("join", "bob")]


async def test_a_bad_line_is_named_and_ends_with_2() -> None:
    async with serving() as (_, url):
        code, out, err = await completed("pub", url, "c", stdin="1\n2\nthree\n4\n")
        assert (code, out) == (2, "")
        assert err.startswith("hawser: line 3: not JSON")
        _, out, _ = await completed("sub", url, "c", "--since", "0", "--count", "2")
        assert [json.loads(line)["data"] for line in out.splitlines()] == [1, 2]


async def test_a_call_prints_its_result_or_fails_in_one_line() -> None:
    async with serving() as (_, url):
        assert await completed("call", url, "echo", '{"a": [1, null]}') == (0, '{"a":[1,null]}\n', "")
        assert await completed("call", url, "none") == (1, "", "hawser: NOT_FOUND: no procedure 'none'\n")


async def test_an_app_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guarded.py").write_text(APP)
    (tmp_path / "hawser.toml").write_text('listen = "ws://127.0.0.1:1"\napp = "guarded:app"\n')
    async with serving("--config", "hawser.toml") as (_, url):
        known = {"HAWSER_URL": url, "HAWSER_TOKEN": "secret"}
        assert await completed("pub", "c", "1", environment=known) == (0, "", "")
        code, out, _ = await completed("sub", "c", "--since", "0", "--count", "1", environment=known)
        assert (code, json.loads(out)["data"]) == (0, 1)
        code, out, err = await completed("pub", "c", "2", environment={"HAWSER_URL": url})
        assert (code, out) == (1, "")
        assert "refused with code 302" in err
        assert err.endswith("Set HAWSER_TOKEN to a token that the server accepts\n")


async def test_the_environment_stands_above_the_file_and_below_flags(tmp_path: Path) -> None:
    (tmp_path / "hawser.toml").write_text('listen = "ws://127.0.0.1:1"\napp = "no_such:app"\n')
    (tmp_path / "named.py").write_text(APP)
    known = {
        "HAWSER_CONFIG": str(tmp_path / "hawser.toml"),
        "HAWSER_LISTEN": "http://127.0.0.1:2",
        "HAWSER_APP": "named:app",
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
    }
    async with serving(url=None, environment=known) as (_, url):
        code, _, err = await completed("call", url, "nothing", environment={"HAWSER_TOKEN": "secret"})
        assert (code, err) == (1, "hawser: NOT_FOUND: no procedure 'nothing'\n")


async def test_tls_takes_a_certificate_from_the_configuration(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "root.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    config = tmp_path / "hawser.toml"
    config.write_text(f'[tls]\ncertificate = "{tmp_path}/chain.pem"\nkey = "{tmp_path}/key.pem"\n')
    async with serving("--config", str(config), url="wss://127.0.0.1:0") as (_, url):
        trusted = {"SSL_CERT_FILE": str(tmp_path / "root.pem")}
        assert await completed("call", url, "echo", "1", environment=trusted) == (0, "1\n", "")


async def test_a_place_that_is_taken_is_one_line_and_code_1() -> None:
    async with serving() as (_, url):
        code, out, err = await completed("serve", "--listen", url)
        assert (code, out) == (1, "")
        assert err.startswith(f"hawser: cannot listen on {url}: ")
        assert err.endswith(". Port 0 takes one that is free\n")


async def test_a_reader_that_has_enough_ends_sub_at_once() -> None:
    """``hawser sub … | head -1``: nothing more is published, so only the closed pipe can tell."""
    async with serving() as (_, url), running(*hawser("sub", url, "c")) as sub:
        await sub.err.count(1)
        await completed("pub", url, "c", "1")
        await sub.out.count(1)
        await sub.stop_reading()
        assert await sub.wait() == 0
    assert sub.err.texts == ["subscribed c"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_command_says_goodbye_and_ends_with_130(number: signal.Signals) -> None:
    async with (
        serving() as (_, url),
        running(*hawser("sub", url, "c")) as sub,
        running(*hawser("pub", url, "c")) as pub,
    ):
        await sub.err.count(1)
        await pub.write("1\n")
        await sub.out.count(1)
        for program in (sub, pub):
            program.send(number)
            assert await program.wait() == 130
    assert [json.loads(text)["data"] for text in sub.out.texts] == [1]
    assert sub.err.texts == ["subscribed c"]
    assert (pub.out.texts, pub.err.texts) == ([], [])


async def test_a_server_that_is_drained_sends_its_clients_to_the_next_one() -> None:
    async with serving() as (server, url), running(*hawser("sub", url, "c")) as sub:
        await sub.err.count(1)
        server.send(signal.SIGTERM)
        await server.err.until("^draining, with 1 session; another signal ends it at once$")
        assert await server.wait() == 0
        async with serving(url=url):
            await sub.err.until("^reset RESTARTED: ")
            await completed("pub", url, "c", "1")
            await sub.out.count(1)
    assert [json.loads(text)["data"] for text in sub.out.texts] == [1]


async def test_bench_measures_a_real_server(tmp_path: Path) -> None:
    async with serving() as (server, url):
        common = ("--json", "--server-pid", str(server.pid))
        code, out, err = await completed("bench", "echo", url, "--count", "300", *common)
        found = json.loads(out)
        assert code == 0, err
        assert found["count"] == 300
        assert found["server_cpu_us_each"] > 0
        path = tmp_path / "resume.png"
        code, out, err = await completed("bench", "resume", url, "--clients", "20", *common, "--plot", str(path))
        found = json.loads(out)
        assert code == 0, err
        assert (found["count"], found["resets"]) == (20, 0)
        assert path.read_bytes().startswith(b"\x89PNG")
