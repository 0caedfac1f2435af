"""One driver per client. Each is a program of its own that knows its client and `measure`, and nothing else here."""
