"""The command line: what can be asked for. Each command's work is in the module of its name, loaded when asked for."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from utils.book import BookError


class Book(TyperGroup):
    """All commands; what goes wrong in one is a sentence on stderr, not a traceback."""

    def invoke(self, ctx):
        from utils.targets import TargetError

        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a Windows console or LANG=C must not break on “✓”
                stream.reconfigure(encoding="utf-8", errors="replace")
        try:
            return super().invoke(ctx)
        except (BookError, TargetError) as error:
            print(f"Error: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES):
                raise
            print(f"Error: {error.strerror}: {error.filename or 'a file'} could not be written.", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("Interrupted; what was finished is kept, and the same command goes on from there.", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(
    name="book",
    cls=Book,
    help="Execute the chapters, check their claims, build the book.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Chapters = Annotated[
    list[str] | None, typer.Argument(help="Numbers, ranges or parts of names: 1 3-5 interpret. All when left out.", show_default=False)
]
Target = Annotated[str, typer.Option("--target", "-t", help="A file of targets/, by name.")]
Parameter = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of every chosen chapter; repeatable. VALUE is YAML."),
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Chapters at a time; as many as fit when left out.", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Execute again even what is unchanged.")]
Timeout = Annotated[float | None, typer.Option(min=1, help="Seconds for one chapter; the target's own when left out.", show_default=False)]
NoWait = Annotated[bool, typer.Option("--no-wait", help="End at once when another command is at work.")]


@app.command()
def build(target: Target = "cpu", jobs: Jobs = None, force: Force = False, timeout: Timeout = None, no_wait: NoWait = False) -> None:
    """Execute what changed, then build the site.

    Examples:

    `book build` · `book build --target cuda` · `book build --force --jobs 1`
    """
    from utils.book import run as runner

    runner.build(target, jobs=jobs, force=force, timeout=timeout, wait=not no_wait)


@app.command()
def run(
    chapters: Chapters = None,
    target: Target = "cpu",
    parameter: Parameter = None,
    jobs: Jobs = None,
    force: Force = False,
    timeout: Timeout = None,
    record: Annotated[bool, typer.Option("--record", help="Write the results to data/results.")] = False,
    seeds: Annotated[str | None, typer.Option(help="With --record: seeds for claims that depend on luck [default: 0,1,2].")] = None,
    no_wait: NoWait = False,
) -> None:
    """Execute chapters, each in a process of its own.

    What is unchanged since its last good run is skipped. A `-p` name has to be a parameter of every chosen chapter.

    Examples:

    `book run 1` · `book run 1 16 -p seed=3 --jobs 2` · `book run interpret --force` · `book run --record --seeds 0,1,2`
    """
    from utils.book import run as runner

    runner.run(chapters or [], target, parameter or [], jobs, force, timeout, record, seeds, wait=not no_wait)


@app.command()
def test(
    chapters: Chapters = None,
    only: Annotated[str | None, typer.Option(help="unit, chapters or site; all three when left out.", show_default=False)] = None,
    target: Target = "cpu",
    jobs: Jobs = None,
    force: Force = False,
    timeout: Timeout = None,
) -> None:
    """Unit tests, the chapters against their reference outputs, the built site in a browser.

    A chapter that is unchanged since its last good run is compared as that run left it; the others are executed.

    Examples:

    `book test` · `book test 3 5-7` · `book test --only unit` · `book test --only chapters --force`
    """
    from utils.book import check

    check.run(only, target, chapters or [], force, jobs, timeout)


@app.command()
def accept(chapters: Chapters = None, no_wait: NoWait = False) -> None:
    """Make the outputs of the claim and exercise cells the new reference, and show what changes.

    Examples:

    `book accept` · `book accept 16`
    """
    from utils.book import accept as accepting

    accepting.run(chapters or [], wait=not no_wait)


@app.command()
def lab(
    port: Annotated[int, typer.Option(help="0: any free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Open JupyterLab in chapters/, for this machine only and with a token.

    Examples:

    `book lab` · `book lab --no-browser --port 8888`
    """
    from utils.book import lab as laboratory

    laboratory.run(port, browser)


@app.command()
def serve(port: Annotated[int, typer.Option(help="0: any free one.")] = 0) -> None:
    """Serve the built site to this machine's browser.

    Examples:

    `book serve` · `book serve --port 8000`
    """
    from utils.book import site

    site.serve(port)


@app.command()
def doctor() -> None:
    """Show what this machine has, which targets fit, and what is missing.

    Examples:

    `book doctor`
    """
    from utils.book import doctor as examination

    if examination.run():
        raise typer.Exit(1)


@app.command()
def lock(
    check: Annotated[bool, typer.Option("--check", help="Only show for which systems every package has a wheel.")] = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Take the newest versions that fit; else those of the lock are kept.")] = False,
    constraint: Annotated[str | None, typer.Option(metavar="FILE", help="Versions to take instead, in pip's format.", show_default=False)] = None,
) -> None:
    """Write requirements.lock anew (for maintainers; needs uv and the network).

    Examples:

    `book lock` · `book lock --upgrade` · `book lock --check`
    """
    from utils.book import lock as locking

    if locking.check() if check else locking.write(constraint, upgrade):
        raise typer.Exit(1)


models = typer.Typer(help="The small models of data/models: list, train, verify.", no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(models, name="models")


@models.command("list")
def list_models() -> None:
    """Each model's size, what it does, its held-out metric beside its control, what it cost, who uses it.

    Examples:

    `book models list`
    """
    from utils.book import models as shelf

    shelf.list_all()


@models.command("train")
def train_model(
    name: Annotated[str, typer.Argument(help="A folder of data/models.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Updates; the recipe's own number when left out.", show_default=False)] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="[default: 1]", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]", show_default=False)] = None,
) -> None:
    """Train a model anew. The shipped files, their checksum and the card are replaced when it has finished, not before.

    Examples:

    `book models train docs-gpt2` · `book models train docs-gpt2 --steps 400 --threads 2`
    """
    from utils.book import models as shelf

    shelf.train(name, steps, threads, seed)


@models.command("verify")
def verify_models(
    names: Annotated[list[str] | None, typer.Argument(help="Folders of data/models; all when left out.", show_default=False)] = None,
) -> None:
    """Check the weights against checksum and card, and a shortened training (about a minute each) against its bound.

    Examples:

    `book models verify` · `book models verify tapas`
    """
    from utils.book import models as shelf

    shelf.verify(names or [])


@app.command()
def clean(
    all: Annotated[bool, typer.Option("--all", help="Also what npm brought, and caches.")] = False,
    venv: Annotated[bool, typer.Option("--venv", help="Also .venv; the next call makes it anew.")] = False,
) -> None:
    """Remove what was built; sources and committed results stay.

    Examples:

    `book clean` · `book clean --all`
    """
    from utils.book import clean as cleaning

    cleaning.run(all, venv)
