"""The command line, a module a verb; thin: it parses, calls, prints."""
