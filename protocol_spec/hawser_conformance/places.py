"""Where the specification's files are: in a repository, and in whatever is installed.

In a repository, and so for an editable installation, they lie beside this package; a wheel carries them inside it.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from .findings import CannotRun

SPEC: Final = "protocol_spec/SPEC.md"
"""The specification, from the root of a repository."""
VECTORS: Final = "protocol_spec/vectors"
"""The vectors, from the root of a repository."""
SCHEMA: Final = f"{VECTORS}/schema.json"
"""What their files have to be like."""
FOLDERS: Final = ("valid", "invalid", "scenarios", "websocket", "longpoll")
"""The folders of vectors."""


def carried() -> Traversable:
    """Return the folder that has SPEC.md, packets.cddl and vectors/, wherever this package came from.

    Raises:
        CannotRun: The package was copied somewhere without them.
    """
    places: tuple[Traversable, ...] = (resources.files("hawser_conformance") / "data", Path(__file__).parents[1])
    for folder in places:
        if (folder / "SPEC.md").is_file():
            return folder
    raise CannotRun("the files of the specification are missing; install hawser from a wheel, or run in its repository")


def find_root(start: Path) -> Path:
    """Find the root of the repository that contains a directory.

    Raises:
        CannotRun: Neither the directory nor any above it has a ``protocol_spec/SPEC.md``.
    """
    for directory in (start, *start.parents):
        if (directory / SPEC).is_file():
            return directory
    raise CannotRun(f"no {SPEC} in {start} or above; name the repository with --root")
