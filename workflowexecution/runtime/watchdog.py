"""The watchdog: ends this process although its event loop does not turn."""

import faulthandler
import signal


class Watchdog:
    """Ends the process at a time that is put off again and again; two guards, neither in Python.

    - A thread of faulthandler, which needs no turn of the loop and no lock of the interpreter. It
      writes to standard error what every thread is at, and exits with code 1.
    - An alarm of the kernel somewhat later, which needs no thread either: 142 in a shell or a
      container, the exit code of SIGALRM.

    A process that was stopped (SIGSTOP, a frozen cgroup) until both were due ends by whichever the
    kernel lets go first when it is continued. Its own code goes no further in either case, since a
    pending signal comes before the next instruction.

    Both clocks stand still while the machine is suspended; what was asleep is for the fence.

    Source: Python's faulthandler.dump_traceback_later; signal(7); setitimer(2), ITIMER_REAL.
    """

    def __init__(self, *, spare_s: float) -> None:
        """Begin disarmed; called in the main thread.

        Args:
            spare_s: how much later than the thread the kernel ends the process.
        """
        self._spare_s = spare_s
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def arm(self, in_s: float) -> None:
        """End the process after so many seconds, instead of when it was said before."""
        signal.setitimer(signal.ITIMER_REAL, in_s + self._spare_s)
        faulthandler.dump_traceback_later(in_s, exit=True)

    def disarm(self) -> None:
        """Let the process live."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
