"""What a service and its clients agree on: the events of channels and the types of procedures, checked and told.

Declared by `hawser.ChannelRule.event` and by annotations of `hawser.App.procedure`; told by `asyncapi` and
`json_schema`, which `hawser contract` prints.
"""

from __future__ import annotations

from .asyncapi import asyncapi
from .jsonschema import json_schema

__all__ = ["asyncapi", "json_schema"]
