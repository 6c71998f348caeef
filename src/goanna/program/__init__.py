"""The Go side: finds the toolchain, runs go build, reads what it made."""
