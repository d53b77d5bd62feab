"""Who somebody is: what the application says of credentials, with middleware around."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

from hawser.middleware import ConnectRequest, pass_through
from hawser.principals import ANONYMOUS, Principal

from .permits import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hawser.app import App


async def recognise(app: App, credentials: Mapping[str, Any], user: str | None) -> Principal | None:
    """Ask the application; None if these credentials are no good.

    Args:
        app: The application.
        credentials: What the client sent.
        user: The id of the principal whose session it wants, None for a new one.

    Raises:
        RequestFailed: They are no good, or cannot be judged now, and here is why.
        Exception: Whatever its handlers raise: nobody can say.
    """

    async def ask(request: ConnectRequest) -> Principal | None:
        if app.authenticator is None:
            return ANONYMOUS
        return checked(await app.authenticator(request.credentials), (Principal, NoneType), "authenticate")

    request = ConnectRequest(credentials, user)
    if not app.connect_middlewares:
        return await ask(request)
    answer = await pass_through(app.connect_middlewares, request, ask)
    principal: Principal | None = checked(answer, (Principal, NoneType), "connect_middleware")
    return principal
