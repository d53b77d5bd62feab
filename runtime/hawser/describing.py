"""What a procedure says of itself, from its Python signature and docstring: for people and programs that want to call.

A description is a map: ``doc``, ``parameters``, ``returns``, and ``items`` and ``inputs``, true where the procedure
answers in items or takes them; ``returns`` and ``takes`` say how they are annotated. A parameter is a map of its
``name``, its ``type`` as it is annotated, whether it is ``required``, and ``kind`` where it is not simply one that may
be given either way: ``"positional"``, ``"named"``, ``"list"`` (any number of positional ones), ``"map"`` (any number of
named ones). What is not known is left out.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final

from .exchange import is_taking_inputs
from .principals import is_generator

if TYPE_CHECKING:
    from collections.abc import Callable

DOC_BYTES_MAX: Final = 2_048
"""Of a longer docstring the beginning is told."""

_KINDS: Final = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.KEYWORD_ONLY: "named",
    inspect.Parameter.VAR_POSITIONAL: "list",
    inspect.Parameter.VAR_KEYWORD: "map",
}
_MODULES: Final = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?<![<\w.])(?:(?:[^\W\d]\w*|<locals>)\.)+"""
)
"""What stands before the name of a class, and texts, in which nothing does; a member of an enum stands behind ``<``."""
_REST: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def describe(handler: Callable[..., Any]) -> dict[str, Any]:
    """Describe a procedure.

    Args:
        handler: The function that carries it out.
    """
    signature = inspect.signature(handler)
    parameters = list(signature.parameters.values())
    taken = parameters[:1] if is_taking_inputs(handler) else []
    description: dict[str, Any] = {"parameters": [_parameter(each) for each in parameters[len(taken) :]]}
    for inputs in taken:
        description["inputs"] = True
        if inputs.annotation is not inspect.Parameter.empty:
            description["takes"] = _type(inputs.annotation)
    if is_generator(handler):
        description["items"] = True
    doc = inspect.getdoc(handler)
    if doc:
        description["doc"] = doc.encode(errors="replace")[:DOC_BYTES_MAX].decode(errors="ignore")
    if signature.return_annotation is not inspect.Signature.empty:
        description["returns"] = _type(signature.return_annotation)
    return description


def _parameter(parameter: inspect.Parameter) -> dict[str, Any]:
    required = parameter.default is inspect.Parameter.empty and parameter.kind not in _REST
    described: dict[str, Any] = {"name": parameter.name, "required": required}
    if parameter.annotation is not inspect.Parameter.empty:
        described["type"] = _type(parameter.annotation)
    if parameter.kind in _KINDS:
        described["kind"] = _KINDS[parameter.kind]
    return described


def _type(annotation: object) -> str:
    """An annotation as it is written, which has no modules; it is a string where its module postpones annotations."""
    if isinstance(annotation, str):
        return annotation
    return _MODULES.sub(lambda found: found["text"] or "", inspect.formatannotation(annotation))
