"""Sockets as system calls see them, whatever protocol lies below."""
