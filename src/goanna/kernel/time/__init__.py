"""Clocks, timers, sleeping, and the vDSO."""
