"""Windows, and when a message gets its number (WIN, NUM)."""

from collections.abc import Iterator

from .notation import ClientScene, ServerScene
from .packets import ack, message, open_


def server() -> Iterator[ServerScene]:
    """WIN, NUM: what waits, and what is not taken."""
    s = ServerScene("a window in parts: only `delivered` gives it back", "WIN-1", "CNT-3", "NUM-1")
    s.starts("a", open_(window_messages=2))
    s.says("a", "one", "two")
    s.sends("a", "three")
    s.receive("a", ack(2, 0, 0))
    s.receive("a", ack(2, 1, 0))
    s.send("a", message("three"))
    yield s

    s = ServerScene("a window in bytes", "WIN-1", "NUM-3")
    s.starts("a", open_(window_bytes=10))
    s.says("a", "123456", "1234")
    s.sends("a", "x")
    s.receive("a", ack(1, 1, 0))
    s.send("a", message("x"))
    yield s

    s = ServerScene("one part is always admitted when nothing is undelivered", "WIN-2", "WIN-1")
    s.starts("a", open_(window_bytes=10))
    s.says("a", "a body of more than ten")
    s.sends("a", "next")
    s.receive("a", ack(1, 0, 0))
    s.receive("a", ack(1, 1, 0))
    s.send("a", message("next"))
    yield s

    s = ServerScene("what waits for the window has no number at a RESUME", "NUM-1", "WIN-1", "ATT-12")
    s.starts("a", open_(window_messages=1))
    s.says("a", "one")
    s.sends("a", "two")
    s.gone()
    s.sends("a", "three")
    s.resumes("b", 1, (1, 0, 0), own=(0, 0, 1))
    s.receive("b", ack(1, 0, 0))
    s.receive("b", ack(1, 1, 0))
    s.send("b", message("two"))
    s.receive("b", ack(2, 2, 0))
    s.send("b", message("three"))
    yield s

    s = ServerScene(
        "a part beyond the window is not taken", "WIN-3", "CNT-2", "CNT-4", window_messages=2, deliver=False
    )
    s.starts()
    s.receive("a", message("one"), message("two"), message("three"))
    s.told("one", "two")
    s.loses("a", "FLOW")
    s.resumes("b", 1, (0, 0, 3), own=(2, 0, 0))
    s.command("delivered", "b", number=1)
    s.send("b", ack(2, 1, 0))
    s.receive("b", ack(0, 0, 2), message("three"))
    s.told("three", first=3)
    yield s

    s = ServerScene(
        "the third connection in a row that breaks the window", "WIN-3", "RST-1", window_bytes=10, deliver=False
    )
    s.starts()
    s.receive("a", message("12345678"), message("123"))
    s.told("12345678")
    s.loses("a", "FLOW")
    s.resumes("b", 1, (0, 0, 2), own=(1, 0, 0))
    s.receive("b", ack(0, 0, 1), message("123"))
    s.loses("b", "FLOW")
    s.resumes("c", 2, (0, 0, 2), own=(1, 0, 0), key="secret1")
    s.receive("c", ack(0, 0, 1), message("123"))
    s.gives_up("c", "FLOW", (1, 0, 0))
    yield s

    s = ServerScene("a connection that ends otherwise begins the row anew", "WIN-3", window_bytes=10, deliver=False)
    s.starts()
    s.receive("a", message("12345678"), message("123"))
    s.told("12345678")
    s.loses("a", "FLOW")
    for attempt, link in ((1, "b"), (3, "d")):
        s.resumes(link, attempt, (0, 0, 2), own=(1, 0, 0), key=f"secret{attempt - 1}")
        s.receive(link, ack(0, 0, 1), message("123"))
        s.loses(link, "FLOW")
        if attempt == 1:
            s.resumes("c", 2, (0, 0, 2), own=(1, 0, 0), key="secret1")
            s.receive("c", ack(0, 0, 1))
            s.gone("c")
    yield s


def client() -> Iterator[ClientScene]:
    """WIN, NUM: the same from the other side."""
    c = ClientScene("a window in bytes, and one part beyond it", "WIN-1", "WIN-2", "CNT-3", "NUM-3")
    c.starts(window_bytes=10)
    c.says("a", "a body of more than ten")
    c.sends("a", "x", "y")
    c.receive("a", ack(1, 0, 0))
    c.receive("a", ack(1, 1, 0))
    c.send("a", message("x"), message("y"))
    yield c

    c = ClientScene("what waits for the window has no number at a RESUME", "NUM-1", "NUM-2", "NUM-5")
    c.starts(window_messages=1)
    c.says("a", "one")
    c.sends("a", "two")
    c.gone()
    c.sends("a", "three")
    c.resumes("b", 1, (0, 0, 1), replay=(message("one"),))
    c.receive("b", ack(1, 1, 0))
    c.send("b", message("two"))
    c.receive("b", ack(2, 2, 0))
    c.send("b", message("three"))
    yield c

    c = ClientScene(
        "a part beyond the window is not taken", "WIN-3", "CNT-2", "CNT-4", window_messages=2, deliver=False
    )
    c.starts()
    c.receive("a", message("one"), message("two"), message("three"))
    c.told("one", "two")
    c.loses("a", "FLOW")
    c.resumes("b", 1, (2, 0, 0), own=(0, 0, 3))
    yield c

    c = ClientScene(
        "the third connection in a row that breaks the window", "WIN-3", "RST-5", window_messages=1, deliver=False
    )
    c.starts()
    c.receive("a", message("one"), message("two"))
    c.told("one")
    c.loses("a", "FLOW")
    c.resumes("b", 1, (1, 0, 0), own=(0, 0, 2))
    c.receive("b", message("two"))
    c.loses("b", "FLOW")
    c.resumes("c", 2, (1, 0, 0), own=(0, 0, 2), key=1)
    c.receive("c", message("two"))
    c.gives_up("c", "FLOW", (1, 0, 0))
    yield c
