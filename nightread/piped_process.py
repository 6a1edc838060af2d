"""Run a module in a process of its own, with a connection as its standard input."""

import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import Any


class PipedProcess:
    """A process that is killed with `stop`, or when this object is no longer used."""

    def __init__(
        self, module: str, environment: Mapping[str, str] | None = None, *, descriptors: Sequence[int] = ()
    ) -> None:
        """Start `python -m module`; by default it has the environment of this process. Raises OSError.

        The process inherits the `descriptors`, which keep their numbers.
        """
        connection, child_end = Pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module], stdin=child_end.fileno(), env=environment, pass_fds=descriptors
            )
        except OSError:
            connection.close()
            raise
        finally:
            child_end.close()
        self.process = process
        self.connection: Connection[Any, Any] = connection
        self.stop = weakref.finalize(self, _stop, process, connection)
        """Kill the process and wait for its end; a second call does nothing."""


def _stop(process: "subprocess.Popen[bytes]", connection: "Connection[Any, Any]") -> None:
    process.kill()
    process.wait()
    connection.close()
