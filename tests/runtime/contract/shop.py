"""A small service with a contract; `hawser contract` is tried on it, too."""

from __future__ import annotations

from collections.abc import AsyncIterator  # noqa: TC003 - types of a procedure are there when the program runs
from datetime import datetime  # noqa: TC003 - as are those of a payload
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import attrs

from hawser import NOBODY, App, Inputs, takes_inputs

if TYPE_CHECKING:
    from hawser import Session


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen
class Item:
    """One line of an order."""

    name: str
    price: int = attrs.field(validator=attrs.validators.ge(0))
    size: Size = Size.SMALL


@attrs.frozen
class Card:
    kind: Literal["card"]
    number: str


@attrs.frozen
class Cash:
    kind: Literal["cash"]


app = App()
orders = app.channel("orders:*", history=100, open=True)
app.channel("chat", open=True)
app.channel("news:*", publish=NOBODY, open=True)
app.directory()


@orders.event("placed")
@attrs.frozen
class Placed:
    """Somebody has placed an order."""

    id: str
    items: list[Item]
    paid: Card | Cash | None = None
    at: datetime | None = None


@orders.event("shipped")
@attrs.frozen
class Shipped:
    id: str


@attrs.frozen
class Receipt:
    id: str
    total: int


@app.procedure("orders.place")
async def place(session: Session, order: Placed, express: bool = False) -> Receipt:
    """Place an order."""
    await app.publish(f"orders:{order.id}", order)
    return Receipt(order.id, sum(item.price for item in order.items) + 5 * express)


@app.procedure("orders.follow")
async def follow(session: Session, *ids: str) -> AsyncIterator[Shipped]:
    """Tell when orders are shipped."""
    for id in ids:
        yield Shipped(id)


@app.procedure("orders.collect")
@takes_inputs
async def collect(session: Session, inputs: Inputs[Item], id: str) -> Receipt:
    """Add up what comes."""
    return Receipt(id, sum([item.price async for item in inputs]))


@app.procedure("echo")
async def echo(session: Session, *arguments: Any, **named: Any) -> list[Any]:
    return [*arguments, named]
