"""The application: its verbs, its exit codes, and its one line of error.

    0 done      1 the thing asked for failed      2 wrong usage      130 stopped from the keyboard
"""

import sys
import traceback
import warnings
from collections.abc import Sequence

import typer

from neuromorphic.cli import convert, demo, energy, evaluate, import_checkpoint, models, train

LONGEST = 4000  # letters of an error's line

app = typer.Typer(name="spikeattn", add_completion=False, rich_markup_mode=None,
                  context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
app.command("demo")(demo.demo)
app.command("models")(models.models)
app.command("train", **train.COMMAND)(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("convert")(convert.convert)
app.command("import-checkpoint")(import_checkpoint.import_checkpoint)
app.add_typer(energy.app, name="energy")


@app.callback()
def root(debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error (with any verb).")) -> None:
    """Spiking transformers: train them, count what they execute, price it, report it.

    Example: spikeattn demo
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code; an error is one line on standard error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = typer.main.get_command(app)(arguments or ["--help"], prog_name="spikeattn", standalone_mode=False,
                                               obj=arguments)
        except (KeyboardInterrupt, typer.Abort):
            code = 130
        except Exception as error:
            if debug:
                traceback.print_exc()
            return _fail(error)
    if code == 130:
        _say("stopped from the keyboard")
    if not arguments:
        return 2
    return code if isinstance(code, int) else 0


def _fail(error: Exception) -> int:
    """Errors that carry an exit code and a message are typer's: wrong usage. All others: the task failed."""
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "spikeattn"
        _say(f"{error.format_message().rstrip('.?')}. See {where} --help.")
        return getattr(error, "exit_code", 2)
    _say(str(error) if isinstance(error, (ValueError, TypeError)) else _outside(error))
    return 1


def _outside(error: Exception) -> str:
    """An error that is not of our making; one of the operating system names its file, if it knows one."""
    if isinstance(error, OSError) and str(error):
        reason = error.strerror or str(error)
        return f"{reason}: {error.filename}" if error.filename else reason
    return f"{type(error).__name__}: {error}"


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _say(f"warning: {message}")


def _say(text: str) -> None:
    """One line on standard error, whatever the text holds: a layer's name may hold codes that a terminal obeys."""
    from neuromorphic.report.text import visible

    first = text.strip().splitlines()[0] if text.strip() else "unknown error"
    print(f"spikeattn: {visible(first, LONGEST)}", file=sys.stderr)
