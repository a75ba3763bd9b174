"""`dlrun serve`: the page and its answers for real runs, over HTTP and in a real browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
import signal
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import torch
from conftest import Started, Starter
from PIL import Image, ImageOps
from torch import Tensor

from dlrun.cli import command_line
from dlrun.datasets import Scaling
from dlrun.datasets.images import digits
from dlrun.datasets.tabular import BOSTON_FEATURES, boston
from dlrun.errors import UserError
from dlrun.predict.model import predict_inputs
from dlrun.serve.command import FIRST_PORT, TRIED_PORTS, bound, free_port, routes, serve_run
from dlrun.serve.images import MOST_PIXELS, data_url, ink_inverted
from dlrun.serve.page import page
from dlrun.serve.result import bars, percent
from dlrun.serve.server import Route, Server
from dlrun.trained import Trained, open_trained

RUNS = {
    "digits": ("dataset=digits", "model.hidden=[64]", "epochs=20"),
    "boston": ("dataset=boston", "epochs=3"),
    "pictures": ("dataset=digits", "model=autoencoder", "epochs=1"),
    "rows": ("dataset=moons", "model=autoencoder", "epochs=1"),
}
LSTAT_FAULT = "row 1, column 'LSTAT': '{}' is text; expected a number"
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
direct = build_opener(ProxyHandler({}))  # a proxy that the environment names is not asked


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small run of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    for name, words in RUNS.items():
        assert command_line([*words, "figures=false", "-q", f"hydra.run.dir={folder / name}"]) == 0
    return folder


@dataclass(frozen=True)
class Page:
    """A page that is being served, and what it asks for."""

    trained: Trained
    server: Server

    def ask(self, path: str, body: bytes, content_type: str = "application/octet-stream") -> Any:
        """The answer of one of the page's requests: JSON, or the lines of a CSV file."""
        headers = {"X-Dlrun-Token": self.server.token, "Content-Type": content_type}
        with direct.open(Request(self.server.url + path, body, headers), timeout=60) as answer:
            text = answer.read().decode()
            if answer.headers["Content-Type"] == "application/json":
                return json.loads(text)
            lines = list(csv.reader(io.StringIO(text)))
            assert int(answer.headers["X-Dlrun-Rows"]) == len(lines) - 1
            return lines

    def row(self, *cells: object) -> Any:
        return self.ask("row", json.dumps(cells).encode(), "application/json")

    def refusal(
        self, path: str, body: bytes, content_type: str = "application/octet-stream"
    ) -> str:
        """The line that a request is refused with, which is for the user to act on."""
        with pytest.raises(HTTPError) as refused:
            self.ask(path, body, content_type)
        with refused.value as answer:
            assert answer.code == 422
            line = json.loads(answer.read())["error"]
        assert isinstance(line, str)
        return line


@contextmanager
def serving(trained: Trained, answers: Mapping[str, Route] | None = None) -> Iterator[Page]:
    """The page of a run while it is served, with its own answers or with those given."""
    with (
        ThreadPoolExecutor(1) as model,
        bound(0, partial(page, trained), answers or routes(trained, model)) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Page(trained, server)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def drawn(runs: Path) -> Iterator[Page]:
    with serving(open_trained(runs / "digits", device="cpu")) as one:
        yield one


@pytest.fixture(scope="module")
def table(runs: Path) -> Iterator[Page]:
    with serving(open_trained(runs / "boston", device="cpu")) as one:
        yield one


def digit(k: int) -> tuple[Tensor, int]:
    """Image k of the data set, (1, 8, 8) in [0, 1] by levels of 8 bits, and what it shows."""
    samples = digits(Path(), 0)
    assert isinstance(samples.inputs, Tensor)
    levels = (samples.inputs[k].float() * 255).round()
    return levels / 255, int(samples.targets[k])


def as_image(pixels: Tensor) -> Image.Image:
    return Image.fromarray((pixels[0] * 255).round().byte().numpy())


def as_file(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def picture_at(address: str) -> Image.Image:
    assert address.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


class Elements(HTMLParser):
    """What stands in a page: its elements with their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


@pytest.mark.parametrize("name", RUNS)
def test_page_runs_nothing_but_its_own_script_and_loads_nothing(runs: Path, name: str) -> None:
    text = page(open_trained(runs / name, device="cpu"), "TOKEN", "NONCE")
    elements = Elements(text)
    for tag, attributes in elements.found:
        if tag in ("script", "style"):
            assert attributes["nonce"] == "NONCE"
        assert not [key for key in attributes if key.startswith("on") or key == "style"]
        links = [attributes[key] for key in ("src", "href") if key in attributes]
        assert all(link == "data:," for link in links)
    assert "http" not in text  # no address at all: it works offline
    assert json.loads(elements.scripts[0])["token"] == "TOKEN"


def test_names_that_are_code_are_only_shown(drawn: Page) -> None:
    evil = "</script><script>alert(1)</script>\x1b[2J\u202e"
    data = replace(drawn.trained.data, classes=(evil, *map(str, range(1, 10))))
    trained = replace(
        drawn.trained,
        data=data,
        run_dir=Path(f"/tmp/{evil.replace('/', '')}"),
        choices={"model": evil, "dataset": "{{ 7 * 7 }}"},
    )
    text = page(trained, "TOKEN", "NONCE")
    elements = Elements(text)
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert "alert(1)" not in "".join(elements.scripts[1:])
    assert "{{ 7 * 7 }}" in text
    assert "\x1b" not in text and "\u202e" not in text
    facts = json.loads(elements.scripts[0])
    assert facts["bars"][0] == ["</script><script>alert(1)</script>\\x1b[2J\\u202e", None, ""]


def test_image_is_answered_as_the_network_does(drawn: Page) -> None:
    pixels, _ = digit(7)
    answer = drawn.ask("image", as_file(as_image(pixels)))
    expected = predict_inputs(drawn.trained, pixels.unsqueeze(0))
    assert expected.labels is not None and expected.probabilities is not None
    assert answer["answer"] == drawn.trained.data.classes[int(expected.labels[0])]
    assert [share for _, share, _ in answer["bars"]] == expected.probabilities[0].tolist()
    assert [name for name, _, _ in answer["bars"]] == [str(k) for k in range(10)]
    assert picture_at(answer["seen"]).tobytes() == as_image(pixels).tobytes()


def test_digits_are_told_drawn_large_in_black_on_white_and_as_photographs(drawn: Page) -> None:
    right = {"drawn": 0, "photograph": 0}
    for k in range(20):
        pixels, label = digit(k)
        ink = ImageOps.invert(as_image(pixels).resize((280, 280), Image.Resampling.BICUBIC))
        answer = drawn.ask("image?invert=auto&drawn=yes", as_file(ink.convert("RGBA")))
        right["drawn"] += answer["answer"] == str(label)
        answer = drawn.ask("image", as_file(ink.convert("RGB"), "JPEG"))
        right["photograph"] += answer["answer"] == str(label)
    assert min(right.values()) >= 14, right  # by chance it would be 2


def test_colours_are_inverted_when_asked_for(drawn: Page) -> None:
    pixels, _ = digit(3)
    file = as_file(as_image(pixels))
    asked, inverted = (drawn.ask(f"image?invert={word}", file) for word in ("no", "yes"))
    assert picture_at(asked["seen"]).tobytes() == as_image(pixels).tobytes()
    assert picture_at(inverted["seen"]).tobytes() == as_image(1 - pixels).tobytes()
    assert drawn.refusal("image?invert=maybe", file).endswith("expected auto, yes, no")


def test_ink_of_a_run_that_does_not_know_its_background_goes_by_the_mean(drawn: Page) -> None:
    data = drawn.trained.data
    assert data.framing is not None and ink_inverted(data) == "auto"
    for mean, word in ((0.13, "yes"), (0.87, "no")):
        scaling = Scaling(torch.full((1, 1, 1), mean), torch.ones(1, 1, 1))
        assert ink_inverted(replace(data, framing=None, input_scaling=scaling)) == word


def declared(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that declares so many grey pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (b"", "is no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image"),
        (declared(50_000, 50_000), "pixels (make it smaller)"),
        (declared(10_000, 10_000), "pixels (make it smaller)"),
        (declared(5_001, 5_000), "25 million pixels (5001 x 5000); expected at most 25 million"),
        (declared(300, 300)[:-30], "cannot be read"),
    ],
)
def test_what_is_no_image_or_too_large_is_told(drawn: Page, file: bytes, fault: str) -> None:
    assert MOST_PIXELS == 5_000 * 5_000
    assert fault in drawn.refusal("image", file)


def test_autoencoder_of_images_shows_its_reconstruction(runs: Path) -> None:
    with serving(open_trained(runs / "pictures", device="cpu")) as one:
        pixels, _ = digit(0)
        answer = one.ask("image", as_file(as_image(pixels)))
        expected = predict_inputs(one.trained, pixels.unsqueeze(0))
        assert expected.images is not None and expected.mse is not None
        assert answer["picture"] == data_url(expected.images[0])
        assert f"mean squared error {float(expected.mse[0]):.5g}" in answer["about"]
        assert (answer["answer"], answer["bars"]) == ("", None)


def test_autoencoder_of_rows_shows_each_value_beside_its_reconstruction(runs: Path) -> None:
    with serving(open_trained(runs / "rows", device="cpu")) as one:
        values = one.row("0.5", "0.25")["values"]
    assert [(name, before) for name, before, _ in values] == [("x1", "0.5"), ("x2", "0.25")]
    assert all(abs(float(after)) < 100 for _, _, after in values)


def test_network_without_probabilities_shows_its_class_alone(drawn: Page) -> None:
    settings = replace(
        drawn.trained.settings, loss=replace(drawn.trained.settings.loss, name="hinge")
    )
    file = as_file(as_image(digit(7)[0]))
    with serving(replace(drawn.trained, settings=settings)) as one:
        answer = one.ask("image", file)
    assert (answer["answer"], answer["bars"]) == (drawn.ask("image", file)["answer"], None)
    assert "hinge" in answer["about"]


def test_colour_is_shown_in_colour() -> None:
    pixels = torch.tensor([1.0, -0.5, 0.5]).reshape(3, 1, 1)
    assert picture_at(data_url(pixels)).getpixel((0, 0)) == (255, 0, 128)


def test_bars_of_many_classes_are_the_ten_most_probable() -> None:
    shares = torch.arange(12) / 66
    shown = bars([f"c{k}" for k in range(12)], shares)
    assert [name for name, _, _ in shown] == [f"c{k}" for k in range(11, 1, -1)]
    assert shown[0][2] == percent(11 / 66) == "16.7 %"
    assert bars(["a", "b"], torch.tensor([0.25, torch.nan]))[1][1] is None


def test_row_gives_the_value_in_its_own_unit(table: Page) -> None:
    cells = [f"{k + 1}.5" for k in range(13)]
    answer = table.row(*cells)
    expected = predict_inputs(table.trained, torch.tensor([[float(cell) for cell in cells]]))
    assert expected.values is not None
    assert answer["answer"] == f"{float(expected.values[0, 0]):.5g}"
    assert answer["about"] == "median price in 1,000 USD"
    assert table.row(*reversed(cells))["answer"] != answer["answer"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"1", b"\xff", b"[" * 100_000])
def test_row_that_is_no_list_is_told(table: Page, body: bytes) -> None:
    assert table.refusal("row", body, "application/json").startswith("expected JSON")


def test_cell_that_is_no_number_is_told(table: Page) -> None:
    body = json.dumps(["1"] * 12 + ["12k"]).encode()
    assert table.refusal("row", body, "application/json") == LSTAT_FAULT.format("12k")


def test_file_of_rows_gives_a_file_of_predictions(table: Page) -> None:
    inputs = boston(Path(), 0).inputs
    assert isinstance(inputs, Tensor)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(reversed(BOSTON_FEATURES))
    writer.writerows(row[::-1] for row in inputs.tolist())
    head, *lines = table.ask("table", file.getvalue().encode())
    assert head == ["row", "prediction"]
    assert [int(line[0]) for line in lines] == list(range(1, 507))
    values = predict_inputs(table.trained, inputs).values
    assert values is not None
    torch.testing.assert_close(
        torch.tensor([float(line[1]) for line in lines], dtype=torch.float64), values[:, 0]
    )


def test_columns_to_leave_out_and_a_separator_are_taken_as_by_predict(table: Page) -> None:
    ones = "\t".join(["1"] * 13)
    file = f"id\t{chr(9).join(BOSTON_FEATURES)}\na\t{ones}\n".encode()
    assert "'id': not among the run's columns" in table.refusal("table?separator=tab", file)
    _, line = table.ask("table?separator=tab&ignore=+id,,", file)
    assert f"{float(line[1]):.5g}" == table.row(*["1"] * 13)["answer"]


@pytest.mark.parametrize("file", ["", "a,b\n1,2\n", ",".join(BOSTON_FEATURES) + "\n"])
def test_file_that_is_no_such_table_is_told_in_a_line(table: Page, file: str) -> None:
    assert 0 < len(table.refusal("table", file.encode())) < 300


def test_port_that_is_in_use_is_told_with_one_that_is_not(runs: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as error:
            serve_run(runs / "boston", port, "data", "cpu")
    found = re.fullmatch(
        rf"--port {port}: is in use \(type --port (\d+), or leave it out\)", str(error.value)
    )
    assert found is not None and int(found[1]) != port


def test_without_a_port_the_next_free_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    monkeypatch.setattr("dlrun.serve.command.FIRST_PORT", first)
    with bound(None, lambda token, nonce: "", {}) as one:
        assert one.port >= first
        monkeypatch.setattr("dlrun.serve.command.FIRST_PORT", one.port)
        with bound(None, lambda token, nonce: "", {}) as other:
            assert one.port < other.port < one.port + TRIED_PORTS
        monkeypatch.setattr("dlrun.serve.command.TRIED_PORTS", 1)
        with pytest.raises(UserError, match="are all in use .type --port 0 for any free one"):
            bound(None, lambda token, nonce: "", {})
    assert FIRST_PORT == 7860  # as the documentation has it


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ((), "dlrun serve: the following arguments are required: RUN (type dlrun serve last)"),
        (("nowhere",), "nowhere: no such directory, and there are no runs below outputs"),
        (("nowhere", "--port", "66000"), "--port 66000: expected a port"),
        (("nowhere", "--port", "web"), "invalid int value: 'web' (type dlrun serve last)"),
    ],
)
def test_wrong_words_are_told_in_a_line(
    words: tuple[str, ...], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["serve", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), fault in err) == ("", 1, True)


def test_run_that_predicts_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["dataset=surface", "model=point", "epochs=1", "figures=false", "-q"]) == 0
    capsys.readouterr()
    assert command_line(["serve", "last"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), "surface" in err) == ("", 1, True)


def served_at(process: Started) -> str:
    """The address that a process prints once it serves."""
    assert process.wait_for(lambda: "Ctrl-C" in process.output[0]), process.wait().stderr
    (line,) = process.output[0].splitlines()
    found = re.fullmatch(r"(\S+): (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it\)", line)
    assert found is not None
    return found[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_and_leaves_nothing(
    runs: Path, started: Starter, number: signal.Signals
) -> None:
    process = started("serve", str(runs / "digits"), "--port", "0", "--device", "cpu")
    address = served_at(process)
    with direct.open(address, timeout=60) as answer:
        assert "digits" in answer.read().decode()
    port = int(address.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):  # one that would never end by itself
        process.send(number)
        done = process.wait(timeout=30)
    assert (done.returncode, done.stderr) == (128 + number, "the page is closed\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Chromium without a window and with a profile of its own."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if BROWSER is None or DRIVER is None:
        pytest.skip("there is no chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("headless", "no-sandbox", "disable-gpu", f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


def text_of(browser: Any, name: str, wanted: str = "", seconds: float = 60) -> str:
    """The text of an element once it has one, or once it is the one that is wanted."""
    end = time.monotonic() + seconds
    text = ""
    while time.monotonic() < end:
        text = str(browser.execute_script(f"return document.getElementById('{name}').textContent"))
        if text == wanted if wanted else text:
            return text
        time.sleep(0.02)
    return text


STROKE = """
const paper = document.getElementById("paper"), box = paper.getBoundingClientRect();
paper.setPointerCapture = () => {};
arguments[0].forEach(([x, y], k, all) => {
  const kind = k === 0 ? "pointerdown" : k === all.length - 1 ? "pointerup" : "pointermove";
  paper.dispatchEvent(new PointerEvent(kind, {
    isPrimary: true, clientX: box.left + x * box.width, clientY: box.top + y * box.height,
  }));
});
"""

DROP = """
const dropped = new DataTransfer();
dropped.items.add(new File(["no image"], "a<b>.png"));
document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
"""


def test_digit_drawn_chosen_or_dropped_in_a_browser_is_read(
    chromium: Any, drawn: Page, tmp_path: Path
) -> None:
    chromium.get(drawn.server.url)
    one = [(0.5, 0.15 + 0.7 * k / 20) for k in range(21)]
    chromium.execute_script(STROKE, one)
    assert text_of(chromium, "answer") in [str(k) for k in range(10)]
    seen = picture_at(chromium.execute_script("return document.getElementById('pixels').src"))
    assert max(seen.tobytes()) > 200  # bright ink on black, as in training
    assert seen.getpixel((0, 0)) == 0
    chromium.execute_script("document.getElementById('clear').click()")
    assert text_of(chromium, "about") == "nothing drawn yet"
    pixels, label = digit(0)
    evil = tmp_path / "<img src=x onerror=alert(1)>.png"
    as_image(pixels).save(evil)
    chromium.find_element("id", "file").send_keys(str(evil))
    assert text_of(chromium, "answer", str(label)) == str(label)
    assert text_of(chromium, "source") == evil.name
    assert chromium.get_log("browser") == []
    chromium.execute_script(DROP)
    fault = "a<b>.png: is no image (expected PNG, JPEG, WebP, BMP, TIFF or GIF)"
    assert text_of(chromium, "problem", fault) == fault
    assert text_of(chromium, "answer", seconds=0.1) == ""


def test_numbers_typed_in_a_browser_and_a_file_are_predicted(
    chromium: Any, table: Page, tmp_path: Path
) -> None:
    chromium.get(table.server.url)
    assert float(text_of(chromium, "answer")) > 0  # the means, before anything is typed
    fields = chromium.find_elements("css selector", "#fields input")
    assert len(fields) == 13
    for field in fields:
        field.clear()
        field.send_keys("1")
    assert text_of(chromium, "answer", answer := table.row(*["1"] * 13)["answer"]) == answer
    fields[12].send_keys("x")
    assert text_of(chromium, "problem") == LSTAT_FAULT.format("1x")
    lines = [",".join(BOSTON_FEATURES), *[",".join(["1"] * 13)] * 30]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    chromium.find_element("id", "file").send_keys(str(tmp_path / "rows.csv"))
    told = "rows.csv: 30 rows, the first 20 below"
    assert text_of(chromium, "source", told) == told
    cells = chromium.find_elements("css selector", "#rows tbody tr td:last-child")
    assert len(cells) == 20
    assert float(cells[0].text) == pytest.approx(float(answer), rel=1e-3)
    link = chromium.find_element("id", "download")
    assert link.get_attribute("download") == "rows-predictions.csv"
    assert link.get_attribute("href").startswith(f"blob:{table.server.url}")


def test_other_page_in_the_browser_is_refused(chromium: Any, drawn: Page, tmp_path: Path) -> None:
    """It can neither read the page nor ask for predictions, even if it knew the token."""
    (tmp_path / "evil.html").write_text("<p>")
    chromium.get((tmp_path / "evil.html").as_uri())
    script = """
    const done = arguments[arguments.length - 1], [url, token] = arguments;
    const plain = { method: "POST", body: "x", mode: "no-cors" };
    const forged = { method: "POST", body: "x", headers: { "X-Dlrun-Token": token } };
    Promise.allSettled([fetch(url), fetch(url + "image", forged), fetch(url + "image", plain)])
      .then((all) => done(all.map((one) => one.status)));
    """
    asked: list[object] = []
    watched = {"/image": Route("text/plain", 100, lambda *words: asked.append(words))}  # type: ignore[arg-type, func-returns-value]
    with serving(drawn.trained, watched) as one:
        told = chromium.execute_async_script(script, one.server.url, one.server.token)
    assert (told, asked) == (["rejected"] * 3, [])
