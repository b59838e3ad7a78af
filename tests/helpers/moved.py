# SPDX-License-Identifier: GPL-2.0-or-later
"""Two outputs of `ss -Htni`, the earlier as the argument, the later on stdin: has each connection of the first gone on
in both directions? Exit 1: not yet."""
import re
import sys

ENOUGH = 40000


def read(text):
    """{local address: (bytes acked, bytes received)}"""
    conns = {}
    for entry in re.findall(r"^\S.*(?:\n\s.*)*", text, re.M):
        counts = [re.search(rf"bytes_{what}:(\d+)", entry) for what in ("acked", "received")]
        conns[entry.split()[2]] = [int(c.group(1)) if c else 0 for c in counts]
    return conns


before, after = read(sys.argv[1]), read(sys.stdin.read())
still = [name for name, was in before.items()
         if any(now < then + ENOUGH for now, then in zip(after.get(name, (0, 0)), was))]
sys.exit(bool(still) or not before)
