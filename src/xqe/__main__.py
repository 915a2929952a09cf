"""Where the process begins and ends: an interrupt is status 130 and no word from here on, before the rest is imported.

Within the command it is a KeyboardInterrupt, so that what is open is closed; before and after that there is nothing to
close, and the process ends at once.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # what is in C of it: nothing is read from the disk
import _thread
import atexit
import os
import sys
import time

TYPE_CHECKING = False  # importing typing takes longer than all else here
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from typing import Any, NoReturn

_A_MOMENT = 0.01  # seconds, after which one that was not raised comes again


def main() -> NoReturn:
    """Run the command line and leave with its status."""
    takes_interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not one that is to ignore them
    if takes_interrupts:
        signal.signal(signal.SIGINT, _end)
    _fill_closed_streams()
    from xqe.resident import client

    status, arguments = client.run_there(sys.argv[1:])
    if status is not None:
        sys.exit(status)
    sys.argv[1:] = arguments
    from xqe import cli

    sys.unraisablehook = _not_lost
    try:
        if takes_interrupts:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()
    except SystemExit as end:
        status = int(end.code or 0)
    except KeyboardInterrupt:  # another one, while what is open was being closed
        status = cli.INTERRUPTED_STATUS
    finally:
        if takes_interrupts:
            signal.signal(signal.SIGINT, _end)
    leave(status)


def leave(status: int) -> NoReturn:
    """End as Python does: threads are waited for, what was registered for the end is done, and what was written is
    passed on. But nothing is freed: that takes as long as the third of a short command, and the system does it."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # there is nobody to tell
            status = status or 1
    os._exit(status)


def _end(*_: Any) -> NoReturn:
    os._exit(128 + signal.SIGINT)


def _not_lost(unraisable: UnraisableHookArgs) -> None:
    """Have an interrupt that came where none can be raised, in a callback from C, say, come again."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _thread.start_new_thread(_interrupt, (_thread.get_ident(),))  # only the main thread has them
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt(thread: int) -> None:
    time.sleep(_A_MOMENT)
    signal.pthread_kill(thread, signal.SIGINT)


def _fill_closed_streams() -> None:
    """Put /dev/null where a standard stream is closed: else the file that is opened next would be taken for it, and a
    library that complains to standard error would write into an index."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY)  # takes the first number that is free, which is this one


if __name__ == "__main__":
    main()
