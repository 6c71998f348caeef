"""Sockets of the families AF_INET and AF_INET6: TCP, UDP and echo messages."""
