"""The recipes themselves in virtual time, on a model of a store that loses, delays, repeats and reorders."""
