"""python -m hawser_vectors [--check]: writes the folders of protocol_spec/vectors, or says whether they are so.

The case files are made here and never edited by hand; schema.json and README.md are not made here.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from . import hot, longpoll, scenarios, strict, websocket
from .cases import invalid_of, valid_of
from .encoding import Json
from .layouts import MESSAGES, PACKETS

VECTORS: Final = Path(__file__).parents[1] / "vectors"
FOLDERS: Final = ("valid", "invalid", "scenarios", "websocket", "longpoll")


class Written(Protocol):
    """A case or a scenario."""

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        ...


def files() -> dict[str, str]:
    """Return the text of every file by its path inside vectors/."""
    cases: dict[str, list[Written]] = {}

    def add(path: str, more: Iterable[Written]) -> None:
        cases.setdefault(path, []).extend(more)

    for layout in (*PACKETS, *MESSAGES):
        name = f"layer-{layout.file}" if layout.file else layout.name.lower()
        add(f"valid/{name}.json", valid_of(layout))
        add(f"invalid/{name}.json", invalid_of(layout))
    for name, good, bad in (
        ("bodies", hot.bodies(), hot.broken_bodies()),
        ("kinds", hot.skipped(), hot.kinds()),
        ("sizes", hot.sizes(), hot.broken_sizes()),
        ("joined", hot.joined(), hot.broken_joined()),
        ("batches", hot.batches(), hot.broken_batches()),
        ("layer-subscribe", hot.subscriptions(), hot.broken_subscriptions()),
    ):
        add(f"valid/{name}.json", good)
        add(f"invalid/{name}.json", bad)
    add("invalid/layer.json", hot.broken_layers())
    add("valid/cbor.json", strict.unusual())
    for source in (
        strict.malformed,
        strict.tags,
        strict.indefinite,
        strict.simple,
        strict.maps,
        strict.texts,
        strict.numbers,
        strict.depth,
    ):
        add(f"invalid/cbor-{source.__name__}.json", source())
    documents = {path: [case.document() for case in each] for path, each in cases.items()}
    for name, scenes in scenarios.FILES.items():
        documents[f"scenarios/{name}.json"] = [scene.document() for scene in scenes()]
    for name, polled in longpoll.FILES.items():
        documents[f"longpoll/{name}.json"] = [scene.document() for scene in polled()]
    for name, written in websocket.FILES.items():
        documents[f"websocket/{name}.json"] = [case.document() for case in written()]
    return {path: _text(each) for path, each in documents.items()}


def _text(documents: list[dict[str, Json]]) -> str:
    """Write cases with one line for each member, and for each step, so that a difference reads well."""
    blocks: list[str] = []
    for document in documents:
        members: list[str] = []
        for key, value in document.items():
            if key == "steps":
                steps = ",\n".join(f"   {json.dumps(step, ensure_ascii=False)}" for step in value)
                members.append(f'  "steps": [\n{steps}\n  ]')
            else:
                members.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
        blocks.append(" {\n" + ",\n".join(members) + "\n }")
    return "[\n" + ",\n".join(blocks) + "\n]\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m hawser_vectors", description="writes the vectors of the wire format"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    parser.add_argument(
        "--to", type=Path, default=VECTORS, help="the folder that holds valid/, invalid/ and the others"
    )
    options = parser.parse_args(arguments)
    wanted = files()
    present = {
        path.relative_to(options.to).as_posix(): path
        for each in FOLDERS
        for path in sorted((options.to / each).glob("*"))
    }
    stale = [
        name
        for name, text in wanted.items()
        if name not in present or present[name].read_text(encoding="utf-8") != text
    ]
    extra = [name for name in present if name not in wanted]
    if options.check:
        for name in (*stale, *extra):
            print(f"{name} is not as `python -m hawser_vectors` writes it", file=sys.stderr)
        return 1 if stale or extra else 0
    for name in extra:
        present[name].unlink()
    for name in stale:
        target = options.to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(wanted[name], encoding="utf-8")
    print(f"{len(wanted)} files, {len(stale)} written, {len(extra)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
