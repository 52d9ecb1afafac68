"""What verbs share: JSON on standard output, progress on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Step = Callable[[str, int, int, str], None]  # task, done, total, what to say beside it
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    from neuromorphic.report.json import encode

    sys.stdout.write(encode(value, indent=2))


def say(text: str) -> None:
    """A line for people, on standard error."""
    from neuromorphic.report.text import visible

    shown = "\n".join(visible(line, 4000) for line in text.split("\n"))
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(shown)


@contextmanager
def progress() -> Iterator[Step]:
    """A bar for each task on a terminal; in a pipe one plain line when a task is done."""
    from neuromorphic.report.text import visible

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _say_when_done
        return
    words = TextColumn("{task.description:<18}", markup=False), TextColumn("{task.fields[beside]}", markup=False)
    with Progress(words[0], BarColumn(), words[1], TimeRemainingColumn(), console=console) as bars:
        tasks: dict[str, int] = {}

        def step(task: str, done: int, total: int, beside: str = "") -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(visible(task), total=total, beside=beside)
            bars.update(tasks[task], completed=done, total=total, beside=beside)

        yield step


def _say_when_done(task: str, done: int, total: int, beside: str = "") -> None:
    from neuromorphic.report.text import visible

    if done == total:
        print(f"{visible(task)}: {beside or 'done'}", file=sys.stderr, flush=True)
