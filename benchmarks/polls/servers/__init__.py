"""The servers that are compared: each answers a POST with its own body, in the plainest way that its library documents.

They print ``listening on 127.0.0.1:PORT`` and serve until killed. None logs, none compresses; connections are kept.
"""
