"""The commands and their options, as cyclopts sees them; what they do is in a module each, imported when needed."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Final, Literal

import cyclopts
from cyclopts import Parameter

from . import DONE, WRONG_USAGE, CommandFailed
from .arguments import Choice, named, parse_since, split_url, within

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP: Final = "\n\n".join(
    (
        "Hawser holds a conversation between programs while networks, tabs, phones and servers come and go: a session "
        "survives every broken connection, each accepted message arrives once and in order, and a loss that cannot be "
        "avoided is never silent.",
        "URL is where a server listens, like http://127.0.0.1:8000; HAWSER_URL stands in for one that is left out. "
        "HAWSER_TOKEN is the token that the server is shown.",
        "Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed (one line on stderr says why), "
        "2 wrong usage or input, 130 Ctrl-C. NO_COLOR is honoured.",
    )
)
EXAMPLES: Final = """Try, in three terminals:
  hawser serve
  hawser sub http://127.0.0.1:8000 room:lobby
  hawser pub http://127.0.0.1:8000 room:lobby '{"text": "hello"}'
Or in one: a file through links that keep breaking, counted at the other end:
  hawser demo FILE --cut-every 100"""

SERVE_HELP: Final = "\n\n".join(
    (
        "Run a server.",
        "Prints `listening on URL` on stdout when it does. SIGTERM drains it: clients are asked to go elsewhere; a "
        "second signal ends it at once.",
        "Without --app it serves the development app, on loopback only: every channel is open to everybody, keeps "
        "10,000 messages, has presence and takes what is volatile; so are agents and mailboxes. `echo` can be called, "
        "and nobody is slowed down.",
        "With --store, channels, letters and idempotency keys are kept in a file, and a server that is started again "
        "with it has them again: clients resume their subscriptions by offset. `synchronous` under `[store]` of the "
        "configuration file says which loss it survives. Without a store, all of it ends with the server.",
        "A configuration file is TOML: `listen`, `app`, `origins`, `certificate` and `key` under `[tls]`, any field of "
        "hawser.Config under `[limits]`, of hawser_transports.ListenerSettings under `[listener]`, of "
        "hawser_engine.bindings.websocket.FrameLimits under `[frames]`, of hawser_transports.PollSettings under "
        "`[polls]`, and `file`, `synchronous` and limits under `[store]`. Among them are `accepts_per_second`, "
        "`connections_per_address`, `proxies`, and how long a drain may take: `drain_seconds`. Flags stand above the "
        "environment, and the environment above the file.",
    )
)
SERVE_EXAMPLES: Final = """Try:
  hawser serve
  hawser serve --listen http://127.0.0.1:0
  hawser serve --store chat.db
  hawser serve --app chat:app --config hawser.toml"""

SUB_HELP: Final = "\n\n".join(
    (
        "Print the messages of channels, one JSON object a line.",
        'Each line is {"channel":…,"epoch":…,"offset":…,"data":…}. What JSON lacks stands as RFC 8949 advises: bytes '
        "as base64url, numbers that are not finite as null. On stderr: `subscribed CHANNEL`, resets, and gaps that "
        "history could not close. Broken links are mended for ever.",
    )
)
SUB_EXAMPLES: Final = """Try:
  hawser sub http://127.0.0.1:8000 room:lobby
  hawser sub http://127.0.0.1:8000 room:lobby --since 0 --count 10
  hawser sub http://127.0.0.1:8000 orders invoices | jq .data"""

PUB_HELP: Final = "\n\n".join(
    (
        "Publish DATA, or each line of standard input, as JSON.",
        "Lines are pipelined and keep their order; blank ones are left out. The exit code is 0 only when every "
        "publication is acknowledged. A line that is no JSON is named with its number and ends it with 2: the lines "
        "before it are published, it and those behind it are not.",
        "After a reset, what has no answer is published again under the same keys, and a line on stderr says so: a "
        "server that remembers a key stores its publication once. What is volatile has no key: it is not published "
        "again, and then the exit code is 1.",
    )
)
PUB_EXAMPLES: Final = """Try:
  hawser pub http://127.0.0.1:8000 room:lobby '{"text": "hello"}'
  hawser pub http://127.0.0.1:8000 room:lobby --text < README.md
  hawser pub http://127.0.0.1:8000 orders:7 '{"id": "7"}' --tag event=shipped
  hawser pub http://127.0.0.1:8000 board:yard '"done"' --latest-key 'mend the sail'
  hawser pub http://127.0.0.1:8000 pad '[12, 40]' --volatile
  seq 1000 | hawser pub http://127.0.0.1:8000 numbers"""

POST_HELP: Final = "\n\n".join(
    (
        "Post DATA, or each line of standard input, into a mailbox, as JSON.",
        "A mailbox is that of a user, `user:ada`, or of an agent, `agent:clerk`. A letter waits there until whoever "
        "holds the mailbox has dealt with it: `hawser mailbox` is one that prints it.",
        "Each letter is stored before the next one leaves, so the exit code is 0 only when all are. A line that is no "
        "JSON, or a letter that is refused, is named with its number and ends it; those before it are stored. After a "
        "reset a letter without an answer is posted again under the same key, and is stored once.",
    )
)
POST_EXAMPLES: Final = """Try:
  hawser post http://127.0.0.1:8000 agent:clerk '{"order": 7}'
  hawser post http://127.0.0.1:8000 user:ada --text 'the boat is ready' --ttl 3600
  hawser post http://127.0.0.1:8000 agent:clerk < orders.jsonl"""

MAILBOX_HELP: Final = "\n\n".join(
    (
        "Hold a mailbox and print its letters, one JSON object a line; each is removed when it is printed.",
        'Each line is {"mailbox":…,"id":…,"sender":…,"time":…,"tries":…,"data":…}. The id is the same however often a '
        "letter is delivered. Without MAILBOX it is that of the user whose token is shown; that of another user is for "
        "those whom the service lets, which are all in the development app of `hawser serve`.",
        "One session at a time holds a mailbox; others wait until it has ended. Ctrl-C gives it back, with each letter "
        "that is not printed. Killed between printing a letter and saying so, it leaves that one to be printed again.",
    )
)
MAILBOX_EXAMPLES: Final = """Try:
  hawser mailbox http://127.0.0.1:8000 agent:clerk
  hawser mailbox http://127.0.0.1:8000 user:ada
  hawser mailbox http://127.0.0.1:8000 agent:clerk --count 1 | jq .data
  HAWSER_TOKEN=... hawser mailbox https://example.org"""

PRESENCE_HELP: Final = "\n\n".join(
    (
        "Print who is in a channel, and then who comes and goes, one JSON object a line.",
        'Each line is {"channel":…,"what":…,"id":…,"user":…,"info":…}: `what` is here for those who are there at the '
        "beginning, then join, update or leave. Where there are too many to be listed, the lines are "
        '{"channel":…,"what":"count","total":…}. `id` names a session, `info` is what it says of itself. On stderr: '
        "`watching CHANNEL: N there`, and resets. Broken links are mended for ever; what changed meanwhile is printed "
        "like any other change.",
        "With --as the command is a member itself, among the others on its own lines, until it ends. Without, it only "
        "watches. The channel has to be declared with presence, as those of `hawser serve` are.",
    )
)
PRESENCE_EXAMPLES: Final = """Try:
  hawser presence http://127.0.0.1:8000 room:lobby
  hawser presence http://127.0.0.1:8000 room:lobby --as '{"name": "Ada"}'
  hawser presence http://127.0.0.1:8000 room:lobby | jq -r '.what + " " + .user'"""

CALL_HELP: Final = "Call a procedure and print its result as JSON. Each ARG is JSON."
CALL_EXAMPLES: Final = """Try:
  hawser call http://127.0.0.1:8000 echo '{"n": [1, 2]}'
  hawser call http://127.0.0.1:8000 echo '"a text"'"""

DEMO_HELP: Final = "\n\n".join(
    (
        "Publish the lines of a file through links that keep breaking, and count what arrives.",
        "A server, a publisher and subscribers run in this process. The connections between them are cut, half-opened "
        "and silenced all the time. What arrives is compared with the file, line by line: the exit code is 0 only if "
        "nothing is lost, doubled or out of order at any subscriber.",
        "A WebSocket that is cut is a resume of its session. Long-poll makes a request again that was cut, and resumes "
        "only after silence; so there are fewer resumes than cuts.",
    )
)

DEMO_EXAMPLES: Final = """Try:
  hawser demo
  hawser demo README.md --cut-every 100
  hawser demo --transport poll
  hawser demo --seconds 60 --subscribers 20 --seed 7"""

BENCH_HELP: Final = "\n\n".join(
    (
        "Bring load on a server and measure it.",
        "Runs until --seconds or --count is reached. Progress goes to stderr, the outcome to stdout. The figure to "
        "compare is the server's CPU time for each operation: give its process with --server-pid. Rates and latencies "
        "say as much about this generator, so let it have a core of its own.",
        "echo and fanout need what the development app of `hawser serve` has: an `echo` procedure, an open channel.",
    )
)

CONTRACT_HELP: Final = "\n\n".join(
    (
        "Print what an app and its clients agree on: the events of its channels, its procedures, and the types of what "
        "is published, taken and answered, items of streams among it.",
        "What attrs validators check is told where JSON Schema can say exactly that, and left out elsewhere.",
        "Nothing is served, the module of the app is only imported. The same app gives the same document, to the byte: "
        "keep it beside the clients that are generated from it, and compare.",
    )
)
CONTRACT_EXAMPLES: Final = """Try:
  hawser contract shop:app
  hawser contract shop:app --title Shop --release 1.2.0 --output shop.asyncapi.json
  hawser contract shop:app --format json-schema"""

Transport = Annotated[
    Choice,
    Parameter(
        help="auto: at http URLs WebSocket where it works, else long-poll; ws: WebSocket only; poll: long-poll only."
    ),
]

app: cyclopts.App = cyclopts.App(
    name="hawser",
    help=HELP,
    help_epilogue=EXAMPLES,
    help_format="plaintext",
    version=version("hawser"),
    version_flags=["--version"],
    default_parameter=Parameter(negative=""),
)
app.command("hawser.cli.bench.commands:bench", name="bench", help=BENCH_HELP)


@app.command(help=SERVE_HELP, help_epilogue=SERVE_EXAMPLES)
def serve(
    *,
    listen: Annotated[
        tuple[str, ...] | None,
        Parameter(
            env_var="HAWSER_LISTEN",
            help="Where to listen; port 0 takes one that is free. Give it again for each further place. "
            "[default: http://127.0.0.1:8000]",
        ),
    ] = None,
    config: Annotated[Path | None, Parameter(env_var="HAWSER_CONFIG", help="The TOML file.")] = None,
    app: Annotated[
        str | None, Parameter(name="--app", env_var="HAWSER_APP", help="What to serve, as module:name.")
    ] = None,
    store: Annotated[
        str | None,
        Parameter(
            env_var="HAWSER_STORE",
            help="The file that keeps channels, letters and idempotency keys over a restart. `synchronous` under "
            "[store] of --config says which loss it survives.",
        ),
    ] = None,
) -> int:
    """Run a server; see `SERVE_HELP`."""
    from .serving import run_serve
    from .settings import read_settings

    return run_serve(read_settings(config, listen=listen, app=app, store=store))


@app.command(help=SUB_HELP, help_epilogue=SUB_EXAMPLES, usage="Usage: hawser sub [URL] CHANNEL... [OPTIONS]")
def sub(
    *words: Annotated[str, Parameter(name="URL-CHANNEL", help="The server, then one or more channels.")],
    since: Annotated[
        str | None, Parameter(help="Begin after [EPOCH:]OFFSET; 0 is the oldest message kept. Without: what is new.")
    ] = None,
    count: Annotated[int | None, Parameter(help="End after so many messages.")] = None,
    transport: Transport = "auto",
) -> int:
    """Print messages; see `SUB_HELP`."""
    from .subscribing import Wanted, run_sub

    place, channels = split_url(words, transport, usage="hawser sub URL CHANNEL...")
    if not channels:
        raise CommandFailed("no channel: write hawser sub URL CHANNEL...", WRONG_USAGE)
    for channel in channels:
        named("a channel name", channel)
    if len(set(channels)) < len(channels):
        raise CommandFailed("a channel is named twice; each is printed once", WRONG_USAGE)
    if count is not None:
        within("--count", count, 1, 2**53)
    start = None if since is None else parse_since(since, len(channels))
    return run_sub(place, Wanted(channels, start, count))


@app.command(
    help=PRESENCE_HELP, help_epilogue=PRESENCE_EXAMPLES, usage="Usage: hawser presence [URL] CHANNEL [OPTIONS]"
)
def presence(
    *words: Annotated[str, Parameter(name="URL-CHANNEL", help="The server, then the channel.")],
    info: Annotated[str | None, Parameter(name="--as", help="Be a member that says this JSON value of itself.")] = None,
    count: Annotated[int | None, Parameter(help="End after so many lines.")] = None,
    transport: Transport = "auto",
) -> int:
    """Print who is there; see `PRESENCE_HELP`."""
    from .watching import Watched, read_info, run_presence

    place, rest = split_url(words, transport, usage="hawser presence URL CHANNEL")
    if len(rest) != 1:
        raise CommandFailed(f"{len(rest)} channels: write hawser presence URL CHANNEL", WRONG_USAGE)
    if count is not None:
        within("--count", count, 1, 2**53)
    return run_presence(place, Watched(named("a channel name", rest[0]), read_info(info), count))


@app.command(help=PUB_HELP, help_epilogue=PUB_EXAMPLES, usage="Usage: hawser pub [URL] CHANNEL [DATA] [OPTIONS]")
def pub(
    *words: Annotated[str, Parameter(name="URL-CHANNEL-DATA", help="The server, the channel, and one JSON value.")],
    text: Annotated[bool, Parameter(help="DATA, or each line, is a text as it stands, and no JSON.")] = False,
    tag: Annotated[
        tuple[str, ...],
        Parameter(help="NAME=VALUE, for each publication. Give it again for each further tag. An event is event=NAME."),
    ] = (),
    latest_key: Annotated[str | None, Parameter(help="What each publication is the newest of.")] = None,
    volatile: Annotated[bool, Parameter(help="Give it at once or not at all, and keep it nowhere.")] = False,
    transport: Transport = "auto",
) -> int:
    """Publish; see `PUB_HELP`."""
    from .publishing import Manner, read_tags, run_pub

    manner = Manner(text=text, tags=read_tags(tag), latest_key=latest_key, volatile=volatile)
    place, rest = split_url(words, transport, usage="hawser pub URL CHANNEL [DATA]")
    match rest:
        case [channel]:
            return run_pub(place, named("a channel name", channel), None, manner)
        case [channel, data]:
            return run_pub(place, named("a channel name", channel), data, manner)
        case _:
            raise CommandFailed(
                f"{len(rest)} words behind the URL: write hawser pub URL CHANNEL [DATA], with quotes around DATA",
                WRONG_USAGE,
            )


@app.command(help=POST_HELP, help_epilogue=POST_EXAMPLES, usage="Usage: hawser post [URL] MAILBOX [DATA] [OPTIONS]")
def post(
    *words: Annotated[str, Parameter(name="URL-MAILBOX-DATA", help="The server, the mailbox, and one JSON value.")],
    text: Annotated[bool, Parameter(help="DATA, or each line, is a text as it stands, and no JSON.")] = False,
    ttl: Annotated[
        float | None, Parameter(help="Seconds after which a letter is not delivered any more, if nobody says less.")
    ] = None,
    transport: Transport = "auto",
) -> int:
    """Post letters; see `POST_HELP`."""
    from .posting import run_post

    if ttl is not None:
        within("--ttl", ttl, 0.001, 2**40)
    place, rest = split_url(words, transport, usage="hawser post URL MAILBOX [DATA]")
    match rest:
        case [mailbox]:
            return run_post(place, named("the name of a mailbox", mailbox), None, text=text, ttl=ttl)
        case [mailbox, data]:
            return run_post(place, named("the name of a mailbox", mailbox), data, text=text, ttl=ttl)
        case _:
            raise CommandFailed(
                f"{len(rest)} words behind the URL: write hawser post URL MAILBOX [DATA], with quotes around DATA",
                WRONG_USAGE,
            )


@app.command(help=MAILBOX_HELP, help_epilogue=MAILBOX_EXAMPLES, usage="Usage: hawser mailbox [URL] [MAILBOX] [OPTIONS]")
def mailbox(
    *words: Annotated[str, Parameter(name="URL-MAILBOX", help="The server, and the mailbox if not one's own.")],
    count: Annotated[int | None, Parameter(help="End after so many letters.")] = None,
    transport: Transport = "auto",
) -> int:
    """Print letters; see `MAILBOX_HELP`."""
    from .holding import run_mailbox

    if count is not None:
        within("--count", count, 1, 2**53)
    place, rest = split_url(words, transport, usage="hawser mailbox URL [MAILBOX]")
    if len(rest) > 1:
        raise CommandFailed(f"{len(rest)} words behind the URL: write hawser mailbox URL [MAILBOX]", WRONG_USAGE)
    return run_mailbox(place, named("the name of a mailbox", rest[0]) if rest else None, count)


@app.command(help=CALL_HELP, help_epilogue=CALL_EXAMPLES, usage="Usage: hawser call [URL] PROCEDURE [ARG...] [OPTIONS]")
def call(
    *words: Annotated[str, Parameter(name="URL-PROCEDURE-ARG", help="The server, the procedure, its arguments.")],
    transport: Transport = "auto",
) -> int:
    """Call a procedure; see `CALL_HELP`."""
    from .calling import run_call

    place, rest = split_url(words, transport, usage="hawser call URL PROCEDURE [ARG...]")
    if not rest:
        raise CommandFailed("no procedure: write hawser call URL PROCEDURE [ARG...]", WRONG_USAGE)
    return run_call(place, named("a procedure name", rest[0]), rest[1:])


@app.command(help=DEMO_HELP, help_epilogue=DEMO_EXAMPLES, usage="Usage: hawser demo [FILE] [OPTIONS]")
def demo(
    file: Annotated[
        Path | None, Parameter(help="The file to publish; the protocol specification if not given.")
    ] = None,
    /,
    *,
    seconds: Annotated[float, Parameter(help="Spread the lines over so many seconds.")] = 10.0,
    cut_every: Annotated[float, Parameter(help="Break a link about every so many ms; 0 breaks none.")] = 300.0,
    subscribers: Annotated[int, Parameter(help="How many subscribers receive all of it (1 to 100).")] = 3,
    seed: Annotated[int, Parameter(help="Decides which links break, when and how.")] = 0,
    transport: Annotated[
        Literal["auto", "ws", "poll", "memory"],
        Parameter(
            help="auto: WebSocket, and long-poll while WebSockets die too soon; ws: WebSocket only; poll: long-poll "
            "only; memory: no sockets."
        ),
    ] = "auto",
    plain: Annotated[bool, Parameter(help="Print lines, also on a terminal.")] = False,
) -> int:
    """Run the demo; what it is stands in `DEMO_HELP`."""
    from .demo import Settings, run_demo

    if not (0 < seconds <= 86_400 and 0 <= cut_every <= 3_600_000 and 1 <= subscribers <= 100):
        raise CommandFailed(
            "--seconds is above 0 and up to 86400, --cut-every from 0 to 3600000, --subscribers from 1 to 100",
            WRONG_USAGE,
        )
    return run_demo(file, Settings(seconds, cut_every / 1_000, subscribers, seed, transport), plain=plain)


@app.command(help=CONTRACT_HELP, help_epilogue=CONTRACT_EXAMPLES, usage="Usage: hawser contract APP [OPTIONS]")
def contract(
    name: Annotated[str, Parameter(name="APP", help="The app, as module:name.")],
    /,
    *,
    format: Annotated[
        Literal["asyncapi", "json-schema"], Parameter(help="AsyncAPI 3.0, or JSON Schema 2020-12; both as JSON.")
    ] = "asyncapi",
    title: Annotated[str | None, Parameter(help="What the service is called. [default: APP]")] = None,
    release: Annotated[str | None, Parameter(help="Its version, for AsyncAPI. [default: 0.0.0]")] = None,
    output: Annotated[Path | None, Parameter(help="The file to write; standard output if not given.")] = None,
) -> int:
    """Print a contract; see `CONTRACT_HELP`."""
    from .describing import run_contract

    return run_contract(name, format, title=title, release=release, output=output)


def run(arguments: Sequence[str]) -> int:
    """Parse the arguments and run what they say.

    Raises:
        CommandFailed: The arguments are wrong, or the command failed.
    """
    try:
        result = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        text = " ".join(str(error).split())
        raise CommandFailed(f"{text} Try: hawser --help", WRONG_USAGE) from None
    return result if isinstance(result, int) else DONE
