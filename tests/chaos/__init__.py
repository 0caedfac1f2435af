"""Proof under failure: real clusters, a seeded fault schedule, workloads that know what must be true, a summary.

`python -m tests.chaos --minutes N --seed S` runs it; `test_short_runs.py` runs it briefly, and shows with the other
tests in here that each check catches a client that breaks the promise (`broken.py` lists them). There are two grounds:
members in network namespaces, where packets are dropped (`namespaces.py`), or behind TCP proxies, which can be had
everywhere.
"""
