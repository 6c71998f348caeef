"""The system-call table: which function answers which number, how registers become arguments, what a trace records."""
