"""Netlink sockets, which tell of interfaces, addresses and routes (rtnetlink(7))."""
