"""Derives the sync trees from the async ones by rewriting tokens.

    python scripts/unasync.py [--check]

`async` before def, with and for, and `await`, are dropped, and so are the prefixes `Async` and
`async_` of names; all else changes by RULES only. In comments and docstrings all this holds too,
for whole words; other strings stay as they are unless a rule names them with their quotes, and an
f-string that would have to change is refused (Python 3.11 and 3.12 split it differently).

Fails on a rule that is never used and on a derived file without a source; --check also on a file
that differs.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREES = {
    "etcdv2/_async": "etcdv2/_sync",
    "etcdv2/recipes/_async": "etcdv2/recipes/_sync",
    "etcdv2/transfer/_async": "etcdv2/transfer/_sync",
    "tests/facade/_async": "tests/facade/_sync",
    "tests/recipes/_async": "tests/recipes/_sync",
    "tests/transfer/_async": "tests/transfer/_sync",
}

# Files of the derived trees that are written by hand; a source of the same name is not derived.
BY_HAND: frozenset[str] = frozenset()

# A name that says of itself that it is the async one of a pair: AsyncClient, async_sleep.
PREFIXED = re.compile(r"(?:Async(?=[A-Z])|async_(?=[a-z]))(\w+)")
PREFIX_IN_TEXT = re.compile(rf"(?<!\w){PREFIXED.pattern}")

# All else that differs: one or several tokens -> what stands for them. The longest match wins.
RULES = {
    "etcdv2._async": "etcdv2._sync",
    "etcdv2.recipes._async": "etcdv2.recipes._sync",
    "etcdv2.transfer._async": "etcdv2.transfer._sync",
    "etcdv2._transport.loop": "etcdv2._transport.threads",
    "Awaitable[None]": "None",
    "Awaitable[bool]": "bool",
    "Awaitable[R]": "R",
    "Awaitable[Found]": "Found",
    "Awaitable[str]": "str",
    "from collections.abc import Awaitable, Callable": "from collections.abc import Callable",
    "StopAsyncIteration": "StopIteration",
    '"handle_async_request"': '"handle_request"',
    "handle_async_request": "handle_request",
    "httpx.AsyncByteStream": "httpx.SyncByteStream",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aiter_raw": "iter_raw",
    "anext": "next",
    "tests.facade._async": "tests.facade._sync",
    "tests.recipes._async": "tests.recipes._sync",
}

LAYOUT = {tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT}
IN_TEXT = re.compile(r"\basync (?=(?:def|with|for)\b)|\bawait (?=[\w.]+\()")
F_STRING = re.compile(r"[rR]?[fFtT]")  # one token in Python 3.11, several in newer ones: see f_string_end


class Rewriter:
    """One table of rules, and which of them were used so far."""

    def __init__(self, rules: dict[str, str]) -> None:
        self.rules = rules
        self.used: set[str] = set()
        self._sequences = sorted(((words(rule), rule) for rule in rules), key=lambda pair: -len(pair[0]))

    def rewrite(self, source: str) -> str:
        """The sync text of one module. Raises ValueError for an f-string that would have to change."""
        # Where each token is, counted in characters: what stands between tokens is copied as it is.
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        lines = [0]
        for line in source.splitlines(keepends=True):
            lines.append(lines[-1] + len(line))
        spans = [
            (lines[token.start[0] - 1] + token.start[1], lines[token.end[0] - 1] + token.end[1]) for token in tokens
        ]

        result, copied, at = "", 0, 0
        while at < len(tokens) - 1:
            token, (begin, end), size = tokens[at], spans[at], 1
            text = source[begin:end]

            # 1. An f-string stays, and so must hold nothing that would have to change.
            if (last := f_string_end(tokens, at)) is not None:
                size, end = last - at + 1, spans[last][1]
                text = source[begin:end]
                if self._in_text(text) != text or re.search(r"\b(await|async)\b", text):
                    raise ValueError(f"line {token.start[0]}: take what would change out of the f-string")

            # 2. Prose.
            elif token.type == tokenize.COMMENT or is_docstring(tokens, at):
                text = self._in_text(text)

            # 3. The words that go, with the space behind them.
            elif text == "await" or (text == "async" and tokens[at + 1].string in {"def", "with", "for"}):
                text, end = "", spans[at + 1][0]

            # 4. A rule, the longest first; else the prefix of a name.
            else:
                for sequence, rule in self._sequences:
                    if sequence == [token.string for token in tokens[at : at + len(sequence)]]:
                        self.used.add(rule)
                        size = len(sequence)
                        text, end = self.rules[rule], spans[at + size - 1][1]
                        break
                else:
                    if token.type == tokenize.NAME and (prefixed := PREFIXED.fullmatch(text)):
                        text = prefixed[1]

            result += source[copied:begin] + text
            copied, at = end, at + size
        return result + source[copied:]

    def _in_text(self, text: str) -> str:
        text = IN_TEXT.sub("", text)
        for rule, replacement in self.rules.items():
            if re.fullmatch(r"[\w.]+", rule):
                text, count = re.subn(rf"(?<!\w){re.escape(rule)}(?!\w)", replacement, text)
                self.used |= {rule} if count else set()
        return PREFIX_IN_TEXT.sub(r"\1", text)


def words(rule: str) -> list[str]:
    return [token.string for token in tokenize.generate_tokens(io.StringIO(rule).readline) if token.string.strip()]


def f_string_end(tokens: list[tokenize.TokenInfo], at: int) -> int | None:
    """Where the f-string ends that begins at this token; None when none does."""
    if tokens[at].type == tokenize.STRING and F_STRING.match(tokens[at].string):
        return at
    depth = 0
    for place in range(at, len(tokens)):
        kind = tokenize.tok_name[tokens[place].type]
        depth += kind.endswith("STRING_START") - kind.endswith("STRING_END")
        if depth == 0:
            return place if place > at else None
    return None


def is_docstring(tokens: list[tokenize.TokenInfo], at: int) -> bool:
    """Whether the token is a string that is a statement: a docstring, also of an attribute."""
    before = next((token.type for token in reversed(tokens[:at]) if token.type not in LAYOUT), tokenize.NEWLINE)
    return (tokens[at].type, before, tokens[at + 1].type) == (tokenize.STRING, tokenize.NEWLINE, tokenize.NEWLINE)


def tidy(texts: dict[str, str], root: Path) -> dict[str, str]:
    """Sorted imports and the project's format, since names and lines have become shorter. Text by path below `root`.

    All in one go: starting ruff for each file took longer than everything else.
    """
    settings = root / "pyproject.toml"
    options = ["--config", str(settings)] if settings.is_file() else ["--isolated"]
    with tempfile.TemporaryDirectory() as folder:
        for path, text in texts.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_text(text)
        for arguments in (["check", "--fix-only", "--select", "I"], ["format"]):
            command = [sys.executable, "-m", "ruff", *arguments, "--quiet", "--no-cache", *options, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
            if done.returncode != 0:
                raise ValueError(f"ruff cannot read what was derived: {done.stderr.strip()}")
        return {path: (Path(folder) / path).read_text() for path in texts}


def derive(root: Path, trees: dict[str, str], rules: dict[str, str], by_hand: frozenset[str], check: bool) -> list[str]:
    """Write (or compare) all derived files below `root`; what is wrong, one line each."""
    rewriter, wrong = Rewriter(rules), [f"{path}: is not there" for path in by_hand if not (root / path).is_file()]
    texts: dict[str, str] = {}
    for source_tree, target_tree in trees.items():
        # 1. Files without a counterpart.
        found = {path.relative_to(root / target_tree).as_posix() for path in (root / target_tree).rglob("*.py")}
        sources = {path.relative_to(root / source_tree).as_posix(): path for path in (root / source_tree).rglob("*.py")}
        wrong += [] if sources else [f"{source_tree}: has no source files"]
        wrong += [
            f"{target_tree}/{name}: has no source in {source_tree}"
            for name in sorted(found - sources.keys())
            if f"{target_tree}/{name}" not in by_hand
        ]

        # 2. The words of each file.
        for name, source in sorted(sources.items()):
            if f"{target_tree}/{name}" in by_hand:
                continue
            header = f"# Derived from {source_tree}/{name} by scripts/unasync.py: change that file, make generate.\n"
            try:
                texts[f"{target_tree}/{name}"] = header + rewriter.rewrite(source.read_text())
            except (ValueError, SyntaxError, tokenize.TokenError) as error:
                wrong.append(f"{source_tree}/{name}: {error}")

    # 3. Their form; then each is written, or compared.
    try:
        texts = tidy(texts, root)
    except ValueError as error:
        return [*wrong, str(error)]
    for path, text in texts.items():
        target = root / path
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        elif not target.is_file() or target.read_text() != text:
            wrong.append(f"{path}: stale, run: make generate")

    return wrong + [f"rule {rule!r} is never used" for rule in rules if rule not in rewriter.used]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a derived file differs")
    wrong = derive(ROOT, TREES, RULES, BY_HAND, parser.parse_args().check)
    print("".join(f"unasync: {line}\n" for line in wrong), end="", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
