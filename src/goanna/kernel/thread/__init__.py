"""Threads and processes: what runs, where, when, and what it waits for."""
