"""`python -m etcdv2`: the command line."""

import sys

from etcdv2._cli import main

if __name__ == "__main__":
    sys.exit(main())
