"""``hawser bench``: load on a server, measured from outside.

Four loads (`echo`, `fanout`, `connect`, `resume`) count operations and their latencies into a `Meter`; the rest shows
them while they grow and reports them in the end. The figure to compare is the server's CPU time for each operation:
rates say as much about this generator, which is the same Python as the server.
"""
