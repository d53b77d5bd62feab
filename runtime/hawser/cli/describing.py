"""``hawser contract``: what an app and its clients agree on, as a document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from hawser.contract import asyncapi, json_schema

from . import DONE, WRONG_USAGE, CommandFailed
from .loading import load_app

if TYPE_CHECKING:
    from pathlib import Path

Format: TypeAlias = Literal["asyncapi", "json-schema"]

UNNAMED: Final = "0.0.0"
"""The version of a service that says none."""


def run_contract(name: str, format: Format, *, title: str | None, release: str | None, output: Path | None) -> int:
    """Write the document.

    Args:
        name: The app, as ``module:name``.
        format: Which document.
        title: What the service is called; the app's name, if not given.
        release: Which version of the service it is.
        output: The file; standard output, if not given.

    Raises:
        CommandFailed: The app cannot be loaded, or the file cannot be written.
    """
    app = load_app(name, option="")
    title = name if title is None else title
    document: dict[str, Any]
    if format == "asyncapi":
        document = asyncapi(app, title=title, version=UNNAMED if release is None else release)
    elif release is None:
        document = json_schema(app, title=title)
    else:
        raise CommandFailed("--release: a JSON Schema has no version; only asyncapi has", WRONG_USAGE)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if output is None:
        print(text)
        return DONE
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot write {output}: {error.strerror or error}") from None
    return DONE
