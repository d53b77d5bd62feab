"""What a procedure says of itself."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Optional, cast

import pytest

from hawser import Inputs, takes_inputs
from hawser.describing import DOC_BYTES_MAX, describe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


async def search(query: str, *, limit: int = 10) -> list[str]:
    """Find pages.

    The best ones first.
    """
    return [query] * limit


async def _everything(first: Any, /, second, *rest: bytes, third, **more: object) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    return None


def test_parameters_documents_and_results_are_told() -> None:
    assert describe(search) == {
        "doc": "Find pages.\n\nThe best ones first.",
        "parameters": [
            {"name": "query", "required": True, "type": "str"},
            {"name": "limit", "required": False, "type": "int", "kind": "named"},
        ],
        "returns": "list[str]",
    }


def test_what_is_not_known_is_left_out_and_kinds_are_told() -> None:
    assert describe(cast("Any", _everything)) == {
        "parameters": [
            {"name": "first", "required": True, "type": "Any", "kind": "positional"},
            {"name": "second", "required": True},
            {"name": "rest", "required": False, "type": "bytes", "kind": "list"},
            {"name": "third", "required": True, "kind": "named"},
            {"name": "more", "required": False, "type": "object", "kind": "map"},
        ],
        "returns": "None",
    }


def test_annotations_that_are_types_are_written_out() -> None:
    async def typed(number: int) -> dict[str, int]:
        return {"number": number}

    typed.__annotations__ = {"number": int, "return": dict[str, int]}
    description = describe(typed)
    assert description["parameters"] == [{"name": "number", "required": True, "type": "int"}]
    assert description["returns"] == "dict[str, int]"


class Size(Enum):
    SMALL = "small"


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (Inputs[int], "Inputs[int]"),
        (Size, "Size"),
        (list[Size] | None, "list[Size] | None"),
        (Optional[Size], "Optional[Size]"),  # noqa: UP045 - as it may be written
        (Callable[[Size], float], "Callable[[Size], float]"),
        (Any, "Any"),
        (Literal["a.b", 'it\'s "x.y"', Size.SMALL], "Literal['a.b', 'it\\'s \"x.y\"', <Size.SMALL: 'small'>]"),
    ],
    ids=str,
)
def test_annotations_that_are_types_tell_no_module(annotation: object, told: str) -> None:
    async def typed(some: object) -> None: ...

    typed.__annotations__ = {"some": annotation}
    assert describe(typed)["parameters"] == [{"name": "some", "required": True, "type": told}]


def test_a_class_of_a_function_tells_no_place() -> None:
    class Here: ...

    async def typed() -> None: ...

    typed.__annotations__ = {"return": list[Here]}
    assert describe(typed)["returns"] == "list[Here]"


def test_what_items_and_inputs_are_is_told_as_far_as_it_is_annotated() -> None:
    @takes_inputs
    async def double(inputs: Inputs[int]) -> AsyncGenerator[int]:
        async for number in inputs:
            yield number * 2

    described: dict[str, Any] = {"parameters": [], "items": True, "inputs": True}
    assert describe(double) == described | {"returns": "AsyncGenerator[int]", "takes": "Inputs[int]"}
    double.__annotations__.clear()
    assert describe(double) == described


def test_of_a_long_document_the_beginning_is_told() -> None:
    async def long() -> None: ...

    long.__doc__ = "é" * DOC_BYTES_MAX
    assert describe(long)["doc"] == "é" * (DOC_BYTES_MAX // 2)
