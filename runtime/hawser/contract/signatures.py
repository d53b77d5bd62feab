"""The types of a procedure, from the annotations of its handler (SPEC CTR-2, CTR-4).

Rule: what is annotated holds, or is refused where it is declared; what is not, or is ``Any``, comes as it was sent.
A result is no business of its caller, so what cannot be said of it is left alone, unless it was asked for.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from hawser.exchange import Inputs, is_taking_inputs

from .conversion import conversion, take_each
from .problems import ContractBroken, Problem
from .shapes import Undescribable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .rendering import Hook

ITEMS: Final = (AsyncGenerator, AsyncIterable, AsyncIterator)

TAKEN: Final = (Inputs, AsyncIterable, AsyncIterator)
"""What the parameter may be annotated as that brings the items of the caller."""


@attrs.frozen
class ProcedureTypes:
    """What a typed procedure takes and returns."""

    parameters: Mapping[str, Any]
    """The types of its parameters, without those that no caller gives, in their order."""
    result: Any
    """The type of what it returns, or of each item."""
    input: Any = Any
    """The type of each item that it takes."""
    _takes: Mapping[str, Hook] = attrs.field(init=False, eq=False, repr=False)
    """What makes instances for its parameters: looked up once, for it runs for each call."""

    def __attrs_post_init__(self) -> None:
        """Find the hooks of all types."""
        takes = {name: conversion().taking(kind) for name, kind in self.parameters.items()}
        object.__setattr__(self, "_takes", takes)

    def take(self, value: object) -> Any:
        """Make an instance of an item that came.

        Raises:
            ContractBroken: It is not as declared.
        """
        return conversion().structure(value, self.input)

    def structure(self, bound: inspect.BoundArguments, *, named: bool) -> None:
        """Put instances in the place of what came.

        Args:
            bound: Arguments of the handler.
            named: Whether the caller gave them by name; for the paths of what is wrong.

        Raises:
            ContractBroken: Something is not as declared.
        """
        conversion().begin()
        problems: list[Problem] = []
        more, place = False, 0
        for name, take in self._takes.items():
            if name not in bound.arguments:
                continue
            value = bound.arguments[name]
            taken: Any
            try:
                match bound.signature.parameters[name].kind:
                    case inspect.Parameter.VAR_POSITIONAL:
                        taken = tuple(take_each((place + at, take, one) for at, one in enumerate(value)))
                    case inspect.Parameter.VAR_KEYWORD:
                        taken = dict(zip(value, take_each((key, take, one) for key, one in value.items()), strict=True))
                    case _:
                        taken = take_each([(name if named else place, take, value)])[0]
                bound.arguments[name] = taken
            except ContractBroken as broken:
                problems += broken.problems if named else broken.said_of(name)
                more = more or broken.more
            place += 1
        if problems:
            raise ContractBroken(problems, more=more)

    def render(self, result: object) -> Any:
        """What a result, or an item, looks like on its way.

        Raises:
            Exception: It is not as declared, which is a fault of the handler.
        """
        return conversion().render(result, self.result)


def types_of(handler: Callable[..., Any], what: str, *, leading: int, checked: bool | None) -> ProcedureTypes | None:
    """The types of a handler, None if it is not typed.

    Args:
        handler: The function.
        what: What it is, for messages.
        leading: How many of its parameters no caller gives, beside `Inputs`.
        checked: Whether it is declared as typed; None leaves it to its annotations.

    Raises:
        ModuleNotFoundError: It has to do with an attrs class, and the extra is not installed.
        TypeError: It is typed, and an annotation cannot be looked up, or is no type of a value that travels.
    """
    if checked is False:
        return None
    signature = inspect.signature(handler)
    parameters = list(signature.parameters.values())[leading:]
    taken = parameters[:1] if is_taking_inputs(handler) else []
    found = {one.name: _look_up(handler, one.annotation) for one in parameters[len(taken) :]}
    returned = _of_items(_look_up(handler, signature.return_annotation), ITEMS)
    inputs = {one.name: _of_inputs(_look_up(handler, one.annotation)) for one in taken}
    given = [*found.values(), *inputs.values()]
    if not checked and not any(map(_has_record, [*given, returned])) and _why_not(returned) is not None:
        returned = Any
    if not checked and all(kind is Any for kind in [*given, returned]):
        return None
    places = [(f"parameter {name!r}", kind) for name, kind in (*found.items(), *inputs.items())]
    for name, kind in (*places, ("what it returns", returned)):
        why = _why_not(kind)
        if why is not None:
            raise TypeError(f"{what}, {name}: {why}; write Any for what is not to be checked")
    return ProcedureTypes(found, returned, *inputs.values())


def _why_not(kind: Any) -> str | None:
    """Why a type cannot be checked, if it cannot."""
    if isinstance(kind, _Unknown):
        return kind.why
    try:
        conversion().prepare(kind)
    except Undescribable as error:
        return str(error)
    return None


def _of_items(kind: Any, containers: tuple[Any, ...]) -> Any:
    """The type of the items, where it is one that comes in items."""
    origin = typing.get_origin(kind)
    return (typing.get_args(kind) or (Any,))[0] if origin in containers or kind in containers else kind


def _of_inputs(kind: Any) -> Any:
    """The type of the items that a caller sends, by the annotation of the parameter that brings them."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, _Unknown) or kind in (Any, *TAKEN) or typing.get_origin(kind) in TAKEN:
        return _of_items(kind, TAKEN)
    written = inspect.formatannotation(kind)
    return _Unknown(f"it brings items, and is annotated {written}; write Inputs, or Inputs[{written}]")


@attrs.frozen
class _Unknown:
    """An annotation that says nothing, such as one that only type checkers import."""

    why: str


def _look_up(handler: Callable[..., Any], annotation: Any) -> Any:
    """What an annotation means; `Any` where there is none."""
    if annotation is inspect.Signature.empty:
        return Any
    if annotation is None:
        return type(None)
    if not isinstance(annotation, str):
        return annotation
    function: Any = inspect.unwrap(handler)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    if not inspect.isroutine(function):
        function = type(function).__call__
    function = getattr(function, "__func__", function)
    names = inspect.getclosurevars(function) if inspect.isfunction(function) else None
    try:
        holder = type("Holder", (), {"__annotations__": {"it": annotation}})
        near = {} if names is None else {**names.nonlocals}
        return typing.get_type_hints(holder, getattr(function, "__globals__", {}), near, include_extras=True)["it"]
    except Exception as error:
        why = f"the annotation {annotation!r} cannot be looked up ({error})"
        return _Unknown(f"{why}; what is checked has to be there when the program runs")


def _has_record(kind: Any) -> bool:
    """Whether an attrs class stands somewhere in a type."""
    if isinstance(kind, type) and attrs.has(kind):
        return True
    return any(_has_record(part) for part in typing.get_args(kind))
