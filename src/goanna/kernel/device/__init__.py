"""Devices and what describes them. Drivers are handed how to reach their registers and never ask which machine it is."""
