"""The `recon` command: finds the command that was typed, prints errors for people, sets exit codes."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence

from recon import __version__
from recon.commands import COMMANDS
from recon.files import printable

DONE, WRONG_INPUT, MISSING_DEPENDENCY, INTERRUPTED = 0, 2, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. RECON_DEBUG=1 lets errors through with their traceback."""
    args = list(sys.argv[1:] if argv is None else argv)
    if argv is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an output of plain ASCII, or a strange file name, ends no command
    if len(args) > 1 and args[0] == "help":
        args = [*args[1:], "--help"]
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help())
    elif args[0] in ("-V", "--version"):
        print(f"recon {__version__}")
    elif args[0] not in COMMANDS:
        return _fail(f"there is no command '{args[0]}'; {_nearest(args[0])}")
    else:
        # Read when torch loads. Threads that wait then sleep instead of spinning: alone that costs a few per cent,
        # but two trainings on the same two cores ran 3.2x faster.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        warnings.showwarning = _show_warning
        code = _run(*args)
        if argv is None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: libraries are taken down in peace
        return code
    return DONE


def _run(name: str, *args: str) -> int:
    """A known command, its errors turned into one line and an exit code."""
    message, code = "interrupted", INTERRUPTED
    try:
        with _quick_to_stop():
            module = importlib.import_module(f"recon.commands.{COMMANDS[name].module}")
        code = module.main(name, args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # the reader of our output has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except ImportError as error:
        _reraise_for_debugging(error)
        what = f"{error.name or 'a package'} is missing or does not load ({error})"
        message = f"{what}; try: pip install -e . here; recon doctor tells more"
        code = MISSING_DEPENDENCY
    except (ValueError, OSError, MemoryError) as error:
        _reraise_for_debugging(error)
        message, code = _message(error), WRONG_INPUT
    except RuntimeError as error:
        if "memory" not in str(error):  # torch has no class of its own for a machine that is full
            raise
        _reraise_for_debugging(error)
        message, code = _message(MemoryError(str(error).splitlines()[0][:200])), WRONG_INPUT
    return _fail(message, code)


@contextlib.contextmanager
def _quick_to_stop() -> Iterator[None]:
    """While libraries load, Ctrl-C ends the process there and then: some of them turn an interruption into an error."""
    try:
        before = signal.signal(signal.SIGINT, _stop_here)
    except ValueError:  # not the main thread, where signals do not arrive
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop_here(number: int, frame: object) -> None:
    os.write(2, b"recon: interrupted\n")
    os._exit(INTERRUPTED)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    examples = [f"  {command.example}" for command in COMMANDS.values()]
    return "\n".join(
        [
            "recon: 3D reconstruction with coordinate networks",
            "",
            "usage: recon COMMAND ... (recon COMMAND --help for its flags)",
            "",
            *lines,
            "",
            "examples:",
            *examples,
        ]
    )


def _nearest(typed: str) -> str:
    near = difflib.get_close_matches(typed, COMMANDS, n=1)
    return f"perhaps you meant: recon {near[0]}" if near else f"commands: {', '.join(COMMANDS)}"


def _message(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}); lower --resolution, --pool or --train.batch, or raise --downscale"
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename and str(error.filename) not in error.strerror else ""
        return f"{error.strerror}{where}"
    return str(error) or type(error).__name__


def _reraise_for_debugging(error: BaseException) -> None:
    if os.environ.get("RECON_DEBUG"):
        raise error


def _fail(message: str, code: int = WRONG_INPUT) -> int:
    print(f"recon: {printable(message)}", file=sys.stderr)
    return code


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:  # noqa: PLR0917
    """Our own warnings as one line; those of libraries, which say nothing to a person, only when debugging."""
    ours = category is UserWarning and str(filename).startswith(os.path.dirname(__file__) + os.sep)
    if ours or os.environ.get("RECON_DEBUG"):
        print(f"warning: {printable(str(message))}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
