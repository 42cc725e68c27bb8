"""`python -m utils.book …`: the same as `book …`."""

from utils.book.cli import app

if __name__ == "__main__":
    app(prog_name="book")
