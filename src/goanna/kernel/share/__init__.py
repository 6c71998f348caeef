"""Folders of the host, shared over 9P2000.L: messages, a session with the server, and a file tree of what it serves."""
