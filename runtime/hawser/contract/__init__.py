"""What a service and its clients agree on: the events of channels and the types of procedures.

Declared by `hawser.ChannelRule.event` and by annotations of `hawser.App.procedure`.
"""

from __future__ import annotations
