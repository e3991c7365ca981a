# ruff: noqa: PTH208, PTH106 -- pathlib would cost this process 5 ms of its birth
"""The guardian: when the supervisor dies, by whatever, it kills all that it was told of.

A script of its own, which imports as little as it can. Its descriptors: 0 the read end of a pipe
from the supervisor, 1 the locked guardian.lock, 3 the table. Its argument is the directory of the
runs' control groups, or nothing where there are none (see cgroup.py).

The table is a file in memory, shared with the supervisor: 32-bit process group numbers, 0 for a
free place. The supervisor writes there without waking anybody (a message in the pipe for every
start and every end would cost 70 us a run, measured); what it wrote outlives it. The pipe only
says, by its end, that the supervisor is dead. Then the guardian kills, waits until the groups are
empty and exits; the lock goes with it, so that whoever gets the lock knows that nothing of the
earlier life runs any more.
"""

import os
import select
import struct
import sys

PIPE, TABLE = 0, 3
KILL = 9
LOOK_MS = 10
"""Between two looks at groups that are dying: a killed process needs about a millisecond."""


def wait_for_the_end() -> None:
    """Until the supervisor is dead: nothing is ever written into the pipe."""
    while os.read(PIPE, 4096):
        pass


def groups_left() -> set[int]:
    """The groups in the table."""
    table = os.pread(TABLE, os.fstat(TABLE).st_size & ~3, 0)
    return {group for (group,) in struct.iter_unpack("=i", table) if group > 1}


def kill(groups: set[int]) -> set[int]:
    """SIGKILL each; those that still exist (a zombie counts until it is reaped)."""
    left = set()
    for group in groups:
        try:
            os.killpg(group, KILL)
            left.add(group)
        except ProcessLookupError:
            pass
        except PermissionError:
            left.add(group)
    return left


def living(groups: set[int]) -> set[int]:
    """Those with a member that is not dead: zombies that nobody reaps run nothing."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                descriptor = os.open(f"/proc/{name}/stat", os.O_RDONLY)
            except OSError:
                continue
            try:
                # After the command's name, which may hold anything: state, ppid, pgrp.
                state, _, group = os.read(descriptor, 4096).rpartition(b")")[2].split()[:3]
                if int(group) in groups and state not in (b"Z", b"X"):
                    found.add(int(group))
            except (OSError, ValueError):
                pass
            finally:
                os.close(descriptor)
    return found


def kill_tree(path: str) -> bool:
    """SIGKILL all that is in the control group at `path` and below; whether anything still is."""
    try:
        descriptor = os.open(f"{path}/cgroup.kill", os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(descriptor, b"1")
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return is_populated(path)


def is_populated(path: str) -> bool:
    """Something lives in the control group at `path` or below."""
    try:
        descriptor = os.open(f"{path}/cgroup.events", os.O_RDONLY)
    except OSError:
        return False
    try:
        return b"populated 1" in os.read(descriptor, 4096)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def remove_tree(path: str) -> bool:
    """Take away an empty control group and those below. False: something is in it after all."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


def main(path: str) -> None:
    """Wait, then kill until nothing is left."""
    wait_for_the_end()
    groups = kill(groups_left())
    while kill_tree(path) or (groups := groups and living(groups)):
        select.poll().poll(LOOK_MS)
        kill(groups)
    if path:
        remove_tree(path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
