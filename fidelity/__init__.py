"""Go's own standard-library tests, in a booted image and on Linux, verdict by verdict: `python -m fidelity --help`."""
