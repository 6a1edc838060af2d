"""Forbid core dumps: the memory of a process holds passwords, the site key and images."""

import resource


def forbid_core_dumps() -> None:
    """Set the limit of this process and of all its later children to zero bytes; no child can raise it again.

    A kernel that pipes core dumps to a program (`kernel.core_pattern`) passes this limit on, and the usual programs
    then store nothing (core(5)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
