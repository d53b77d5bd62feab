"""A hostile network on one machine: two hosts in network namespaces, and a link between them that loses packets.

Kernels often come without netem, so the link is a program: whatever leaves the TUN device of one namespace is handed to
a `Policy`, which says when and whether it enters the other one. Real programs run in the namespaces over the real TCP
of the kernel. It needs Linux, root and /dev/net/tun; `missing` says which of them is not there.

Reading order: packets, policy (both pure), namespaces, link.
``python -m tests.faults.emulator --help`` runs one by hand.
"""

from tests.faults.emulator.link import Emulator
from tests.faults.emulator.namespaces import missing
from tests.faults.emulator.policy import Conditions, Policy

__all__ = ["Conditions", "Emulator", "Policy", "missing"]
