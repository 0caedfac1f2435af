"""The command line `etcdv2`: see `etcdv2 --help`."""

# _main.py      from the words of a command line to an exit code: dispatch, signals, errors
# _commands.py  which commands there are, and where; nothing is imported before a command is wanted
# _arguments.py, _settings.py, _context.py, _output.py, _failures.py, _apart.py    what all commands share
# the rest      one module for each group of commands
#
# Only public names of etcdv2, recipes and transfer, imported within the function that runs a command: `etcdv2 --help`
# starts without them.

from etcdv2._cli._main import main

__all__ = ["main"]
