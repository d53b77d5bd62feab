"""What users import stays what it is: names, homes and documents of the public API."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import hawser
import hawser.brokers
import hawser.brokers.check
import hawser.brokers.sqlite
import hawser.client
import hawser.contract
import hawser.server
import hawser.testing
import hawser_transports
import hawser_transports.check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PUBLIC: dict[ModuleType, list[str]] = {
    hawser: [
        "ANONYMOUS", "ASK", "AgentRule", "AgentWorker", "Answer", "App", "CallError", "CallRequest", "ChannelRule",
        "Client", "ClientPool", "CloseCode", "Collected", "Config", "ConnectFailed", "ConnectRequest", "Credentials",
        "DeadLetterCounts", "Direct", "Directory", "Directs", "EVERYONE", "ErrorCode", "Expired", "Gap", "HawserError",
        "HttpRequest", "HttpResponse", "Inputs", "Letter", "LetterTooLarge", "Mailbox", "MailboxFull", "MailboxRule",
        "Member", "Message", "NOBODY", "NotSent", "OfferRequest", "Offering", "Outbox", "OutboxFull", "Outcome",
        "OutcomeUnknown", "OverflowCounts", "Page", "PayloadError", "PoolFull", "PooledClient", "Position",
        "PositionMoved", "PostRequest", "Presence", "PresenceChange", "PresenceRequest", "Principal", "Proceed",
        "PublishRequest", "Published", "Question", "Reach", "ReadRequest", "Receipt", "Request", "RequestFailed",
        "RequestLost", "ResetReason", "Right", "SendRequest", "Sent", "Server", "Session", "SessionClosed",
        "SharedPresence", "SharedSubscription", "Stream", "SubscribeRequest", "Subscription", "SubscriptionLost",
        "UserRule", "claims", "connect", "granted", "serve", "states", "takes_inputs", "to",
    ],
    hawser.brokers: [
        "Broker", "BrokerUnavailable", "DeadLetters", "Entry", "History", "Keeping", "Letter", "LetterTooLarge",
        "LossSink", "MailSink", "MailboxFull", "MailboxStore", "MemoryBroker", "MemoryKeys", "MemoryMailboxes",
        "MemoryPresence", "MemorySessions", "Moving", "News", "NoAnswer", "Place", "PositionMoved", "Posting",
        "PresenceSink", "PresenceStore", "Published", "QuestionSink", "Retention", "SessionDirectory", "Sink",
        "Submission", "key_holder",
    ],
    hawser.brokers.check: ["BrokerContractError", "check_broker"],
    hawser.brokers.sqlite: [
        "SqliteBroker", "StoreClosed", "StoreDamaged", "StoreError", "StoreForeign", "StoreFull", "StoreInUse",
        "StoreReport", "StoreUnwritable",
    ],
    hawser.client: [
        "AgentWorker", "Client", "ClientPool", "Connect", "Credentials", "Direct", "Directory", "Directs", "Letter",
        "Mailbox", "Offering", "Outbox", "PooledClient", "PooledConnect", "Presence", "PresenceChange",
        "Receipt", "SharedPresence", "SharedSubscription", "State", "StateStream", "Subscription", "connect", "states",
    ],
    hawser.client.states: [
        "CircuitOpen", "Closed", "Connected", "Connecting", "FOLLOWING", "HalfOpen", "Reset", "Resuming", "State",
        "StateStream", "Waiting",
    ],
    hawser.contract: ["asyncapi", "json_schema"],
    hawser.server: ["Server", "Session", "serve"],
    hawser.testing: ["CutKind", "FaultyNetwork", "make_session", "run_seeded", "seeded_bytes", "seeded_scheduling"],
    hawser_transports: [
        "BATCH_BYTES_MAX", "ENTRY_POINT_GROUP", "UNREAD_BYTES_MIN", "HttpHandler", "HttpListener", "HttpRequest",
        "HttpResponse", "Link", "Listener", "ListenerSettings", "LongPollTransport", "MemoryLink", "MemoryListener",
        "MemoryTransport", "MountSettings", "PollSettings", "Receiver", "SocketWire", "StreamWire", "Transport",
        "TurnedAway", "UnknownSchemeError", "WebSocketLink", "WebSocketTransport", "Wire", "WireSettings",
        "find_transport", "memory_pair", "pump", "transport_schemes",
    ],
    hawser_transports.check: ["TransportContractError", "check_transport"],
}  # fmt: skip

NAMED = [(module, name) for module, names in PUBLIC.items() for name in names]
DOCUMENTED = [
    (module, name)
    for module, name in NAMED
    if inspect.isclass(item := getattr(module, name)) or inspect.isroutine(item)
]


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_each_module_exports_exactly_what_it_promises(module: ModuleType) -> None:
    assert sorted(module.__all__) == sorted(PUBLIC[module])
    assert all(hasattr(module, name) for name in module.__all__)
    assert module.__doc__


@pytest.mark.parametrize(("module", "name"), DOCUMENTED, ids=str)
def test_everything_public_is_documented_down_to_its_methods(module: ModuleType, name: str) -> None:
    item: Any = getattr(module, name)
    assert inspect.getdoc(item)
    assert item.__module__.startswith(("hawser.", "hawser_transports.", "hawser_engine."))
    if inspect.isclass(item) and not issubclass(item, (int, Exception)):
        for attribute, member in vars(item).items():
            if attribute.startswith("_") or not (inspect.isroutine(member) or isinstance(member, property)):
                continue
            assert inspect.getdoc(member), f"{name}.{attribute}"


def functions_of(item: Any) -> Iterator[Any]:
    """The public functions that a name of the API stands for: itself, or the methods of a class."""
    for name, member in vars(item).items() if inspect.isclass(item) else [("", item)]:
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(function) and not name.startswith("_"):
            yield function


@pytest.mark.parametrize(("module", "name"), DOCUMENTED, ids=str)
def test_arguments_and_errors_are_stated_and_not_left_to_be_guessed(module: ModuleType, name: str) -> None:
    for function in functions_of(getattr(module, name)):
        text = inspect.getdoc(function) or ""
        if text.startswith("See `"):  # what it implements states them
            continue
        (tree,) = ast.parse(dedent(inspect.getsource(function))).body
        raised = [node for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
        assert not raised or "Raises" in text, function
        parameters = [each for each in inspect.signature(function).parameters if each not in ("self", "cls")]
        assert len(parameters) < 2 or "Args:" in text, function


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (hawser.serve, ["app", "url", "others", "config", "transport", "random_bytes", "task_status"]),
        (
            hawser.connect,
            [
                "url",
                "token",
                "credentials",
                "hosts",
                "config",
                "procedures",
                "outbox",
                "assigned",
                "agent",
                "wait",
                "transport",
                "random_bytes",
            ],
        ),
        (
            hawser.App.channel,
            [
                "self",
                "pattern",
                "history",
                "history_bytes",
                "history_seconds",
                "last_value",
                "about",
                "presence",
                "overflow",
                "volatile",
                "publish",
                "subscribe",
                "read_history",
                "watch_presence",
                "appear",
                "ask",
                "wildcard",
                "open",
            ],
        ),
        (
            hawser.App.mailbox,
            ["self", "pattern", "post", "hold", "open", "letters", "bytes", "seconds", "tries", "dead_letters"],
        ),
        (hawser.App.post, ["self", "mailbox", "data", "key", "ttl"]),
        (hawser.Client.post, ["self", "mailbox", "data", "key", "ttl"]),
        (hawser.Client.mailbox, ["self", "mailbox"]),
        (hawser.App.publish, ["self", "channel", "data", "key", "tags", "latest_key", "volatile", "expected"]),
        (hawser.App.send, ["self", "to", "data", "but", "key", "tags", "latest_key", "volatile"]),
        (hawser.App.subscribe, ["self", "to", "channel", "since", "rewind", "rewind_seconds"]),
        (hawser.App.unsubscribe, ["self", "to", "channel"]),
        (hawser.Session.subscribe, ["self", "channel", "since", "rewind", "rewind_seconds"]),
        (
            hawser.Client.publish,
            ["self", "channel", "data", "key", "ttl", "tags", "latest_key", "except_me", "volatile"],
        ),
        (
            hawser.Client.submit,
            ["self", "channel", "data", "key", "ttl", "after", "tags", "latest_key", "except_me", "volatile"],
        ),
        (hawser.Client.send, ["self", "to", "data", "key", "tags", "latest_key", "except_me", "volatile"]),
        (hawser.Client.publish_to, ["self", "channels", "data", "key", "tags", "latest_key", "except_me"]),
        (hawser.Client.call, ["self", "procedure", "arguments", "named"]),
        (hawser.Client.subscribe, ["self", "channel", "since", "rewind", "rewind_seconds", "filter", "answers"]),
        (hawser_transports.check.check_transport, ["make_pair", "wait_seconds", "quiet_seconds"]),
        (
            hawser.brokers.check.check_broker,
            ["broker", "key_window_seconds", "keys_max", "age_seconds", "lease_seconds"],
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures_stay(function: Any, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters


def test_importing_loads_nothing_that_is_for_tests_only() -> None:
    quiet = "import sys, hawser; print(*{'pytest', 'trio.testing', 'rich', 'cyclopts'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", quiet], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"


def test_every_error_is_a_hawser_error() -> None:
    errors = [
        item
        for name in hawser.__all__
        if inspect.isclass(item := getattr(hawser, name)) and issubclass(item, Exception)
    ]
    assert len(errors) == 17
    assert all(issubclass(error, hawser.HawserError) for error in errors)
