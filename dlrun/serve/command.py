"""`dlrun serve RUN`: a page on this machine that predicts on what one draws, drops or types."""

from __future__ import annotations

import errno
import io
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from dlrun.errors import UserError, printable, shown
from dlrun.failures import failures_told
from dlrun.runs.find import find_run
from dlrun.serve.server import LOOPBACK, Answer, Options, Route, Server
from dlrun.signals import Interrupted, listening
from dlrun.targets import Trust
from dlrun.verbs import RUN_HELP, TRUST_HELP, VerbParser

if TYPE_CHECKING:
    from torch import Tensor

    from dlrun.predict.model import Predicted
    from dlrun.trained import Trained

FIRST_PORT, TRIED_PORTS = 7860, 20


def serve(words: Sequence[str]) -> int:
    """Exit code of `dlrun serve WORDS`, which ends by a signal: Interrupted says by which."""
    args = flag_parser().parse_args(list(words))
    if args.port is not None and not 0 <= args.port <= 65535:
        raise UserError(
            f"--port {args.port}: expected a port, 0 for any free one (for example --port 8000)"
        )
    run_dir = find_run(args.run)
    return serve_run(run_dir, args.port, "all" if args.trust else "data", args.device)


def flag_parser() -> VerbParser:
    """The parser of what follows `dlrun serve`."""
    parser = VerbParser(
        "serve",
        usage="dlrun serve RUN [--port N] [--device NAME] [--trust]",
        description="Serve a page on which one draws a digit, drops an image or a CSV file, or "
        "types a row, and sees what the run's network says of it. Only browsers of this machine "
        "can open the page, and nothing leaves the machine. Ctrl-C ends it. "
        f"From another machine: ssh -L {FIRST_PORT}:localhost:{FIRST_PORT} HOST, with the port "
        "that is printed on both sides.",
        example="dlrun serve last",
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "--port",
        metavar="N",
        type=int,
        help=f"of the page's address; without it {FIRST_PORT}, or the next one that is free",
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, mps; else the run's own")
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    return parser


@failures_told()
def serve_run(run_dir: Path, port: int | None, trust: Trust, device: str | None) -> int:
    """Serves the page of one run until a signal ends it.

    Raises UserError for a run that cannot predict and a port that is in use; Interrupted at the
    end, when no port and no thread is left.
    """
    from dlrun.predict.model import require_predicting
    from dlrun.serve.page import page
    from dlrun.trained import open_trained

    trained = open_trained(run_dir, trust, device=device)
    require_predicting(trained)
    for note in trained.notes:
        print(printable(note), flush=True)
    with ThreadPoolExecutor(1, "model") as model:
        try:
            with (
                listening() as requests,
                requests.deferred(),  # so that no connection is dropped half accepted
                bound(
                    port, partial(page, trained), routes(trained, model), requests.obey
                ) as server,
            ):
                print(f"{shown(trained.name)}: {server.url} (Ctrl-C ends it)", flush=True)
                server.serve_forever(poll_interval=0.1)
        except Interrupted as stop:
            model.shutdown(wait=False, cancel_futures=True)
            raise Interrupted(stop.number, "the page is closed") from None
    return 0


def bound(
    port: int | None,
    page: Callable[[str, str], str],
    answers: Mapping[str, Route],
    between: Callable[[], None] = lambda: None,
) -> Server:
    """The server at a port, None for the first free one of a few; the rest as for Server.

    Raises UserError where the port cannot be had.
    """
    tried = range(FIRST_PORT, FIRST_PORT + TRIED_PORTS) if port is None else [port]
    for number in tried:
        try:
            return Server(number, page, answers, between)
        except OSError as error:
            if error.errno == errno.EACCES:
                raise UserError(
                    f"--port {number}: is not yours to use (for example --port {FIRST_PORT})"
                ) from error
            if error.errno != errno.EADDRINUSE:
                raise
    if port is None:
        raise UserError(
            f"--port: {tried[0]} to {tried[-1]} are all in use (type --port 0 for any free one)"
        )
    raise UserError(f"--port {port}: is in use (type --port {free_port()}, or leave it out)")


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        return int(free.getsockname()[1])


def routes(trained: Trained, model: ThreadPoolExecutor) -> dict[str, Route]:
    """What the page may ask for, computed in the one thread of `model`, one thing after another.

    torch keeps threads for every thread that has called it, and memory for each image at work.
    """
    from dlrun.predict.model import predict_inputs
    from dlrun.serve.images import answer_image
    from dlrun.serve.page import LIMITS, takes_images
    from dlrun.serve.tables import answer_row, answer_table

    def image(content: BinaryIO, options: Options) -> Answer:
        return as_json(model.submit(answer_image, trained, content, options).result())

    def row(content: BinaryIO, options: Options) -> Answer:
        return as_json(model.submit(answer_row, trained, content).result())

    def table(content: BinaryIO, options: Options) -> Answer:
        def predict(inputs: Tensor) -> Predicted:
            return model.submit(predict_inputs, trained, inputs).result()

        with ExitStack() as kept:
            out = cast(BinaryIO, kept.enter_context(TemporaryFile()))
            # Chunk by chunk, so that a long file does not keep other questions waiting.
            rows = answer_table(trained, content, options, predict, out)
            kept.pop_all()  # closed once it is sent
        return Answer(out, "text/csv; charset=utf-8", {"X-Dlrun-Rows": str(rows)})

    if takes_images(trained):
        return {"/image": Route("application/octet-stream", LIMITS["image"], image)}
    return {
        "/row": Route("application/json", LIMITS["row"], row),
        "/table": Route("application/octet-stream", LIMITS["table"], table),
    }


def as_json(value: dict[str, Any]) -> Answer:
    """The value as JSON that any browser reads: no NaN in it."""
    return Answer(io.BytesIO(json.dumps(value, allow_nan=False).encode()))
