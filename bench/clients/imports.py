"""One import, timed, in a fresh interpreter: `imports.py NAME...` prints the seconds and the memory afterwards.

Run as a file and not as a module, so that nothing else is imported before.
"""

import sys
import time

names = sys.argv[1:]
start = time.perf_counter()
for name in names:
    __import__(name)
seconds = time.perf_counter() - start
with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib would be imported, and so be in the figures
    memory = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))
print(f'{{"seconds": {seconds}, "memory": {memory}, "modules": {len(sys.modules)}}}')
