"""The kernel: written in metal, compiled ahead of time, and tested on the host room by room."""
