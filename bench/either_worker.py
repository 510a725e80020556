"""A worker of the bench's own: takes sealed tickets as every worker does, and parts that nobody sealed as they are.

Started by `bench_tickets` in place of `python -m mohawk`, with the same arguments.
"""

from __future__ import annotations

import sys

from mohawk.cli.main import main
from mohawk.worker.tickets import TicketReader

MAGIC = b"MR"
"""What a record begins with (docs/spec/tickets.md 3), and no part does."""


def let_both_in() -> None:
    open_sealed = TicketReader.open

    def open_either(reader: TicketReader, ticket: bytes, tensor: tuple[int, int, int], length: int) -> bytes:
        return open_sealed(reader, ticket, tensor, length) if ticket[:2] == MAGIC else ticket

    TicketReader.open = open_either  # type: ignore[method-assign]


if __name__ == "__main__":
    let_both_in()
    del sys.argv[1:3]  # -m mohawk
    main()
