"""Devices and what describes them. Drivers are handed how to reach their registers; none asks which machine it is."""
