"""What all tests share: hypothesis finds the same examples every time, and what tests start hears the keys."""

import os
import signal

from hypothesis import HealthCheck, settings

settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", parent=settings.get_profile("fixed"), derandomize=False, max_examples=1_000)
settings.register_profile("few", parent=settings.get_profile("fixed"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

# What a shell starts in the background is deaf to the keys of a terminal, and so is whatever that starts in turn.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)
