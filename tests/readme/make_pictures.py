"""Makes the pictures of the README from real runs: terminal.png and tensorboard.png.

Run it from anywhere, in an environment that has dlrun:

    pip install -e .[pictures]
    python tests/readme/make_pictures.py

It needs Chromium and its driver (Debian: apt install chromium chromium-driver). The runs take
place in a temporary directory; everything that is started here is ended here.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

HERE = Path(__file__).parent
COLUMNS, MAX_ROWS = 100, 60
THEME = TerminalTheme(
    background=(30, 32, 40),
    foreground=(222, 224, 230),
    normal=[
        (60, 64, 75),
        (240, 113, 120),
        (120, 200, 120),
        (230, 190, 100),
        (110, 160, 240),
        (200, 140, 230),
        (90, 200, 210),
        (222, 224, 230),
    ],
)
DRAW_SECONDS = 120  # a slow machine needs long for the first page


def main() -> None:
    """Writes both pictures beside this file."""
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        work = Path(folder)
        screen = run_in_terminal(["model=mlp", "optim=adam"], work)
        picture_of_terminal(chromium, screen, "dlrun model=mlp optim=adam", work)
        run_dlrun(["-m", "optim=sgd,momentum,adam"], work)
        (sweep,) = work.glob("outputs/sweeps/*/*")
        with tensorboard(sweep) as address:
            picture_of_tensorboard(chromium, address)
    for name in ("terminal.png", "tensorboard.png"):
        print(f"{HERE / name}  {(HERE / name).stat().st_size / 1000:.0f} kB")


def dlrun_command(words: list[str]) -> list[str]:
    """The command line that runs dlrun in this environment."""
    return [sys.executable, "-m", "dlrun", *words]


def run_dlrun(words: list[str], work: Path) -> None:
    """Runs `dlrun WORDS` in `work`."""
    subprocess.run(dlrun_command(words), cwd=work, check=True, stdout=subprocess.DEVNULL)


def run_in_terminal(words: list[str], work: Path) -> pyte.Screen:
    """What stands on a terminal's screen after `dlrun WORDS` has run on it."""
    # pyte knows no dim text (SGR 2); nothing here blinks, so that flag carries it.
    pyte.graphics.TEXT[2] = "+blink"
    screen = pyte.Screen(COLUMNS, MAX_ROWS)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", MAX_ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        dlrun_command(words),
        cwd=work,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        while chunk := read(ours):
            stream.feed(chunk)
        assert process.wait() == 0, "\n".join(screen.display)
    finally:
        process.kill()
        os.close(ours)
    return screen


def read(descriptor: int) -> bytes:
    """The next bytes from a terminal; none once nobody writes to it any more."""
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO when the other end is closed
        return b""


def picture_of_terminal(
    chromium: webdriver.Chrome, screen: pyte.Screen, title: str, work: Path
) -> None:
    """terminal.png: the screen, drawn as rich draws it."""
    rows = [styled_row(screen, y) for y in range(screen.lines)]
    while not rows[-1].plain.strip():
        rows.pop()
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        for row in [Text(f"$ {title}", style="bold"), *rows]:
            console.print(row, no_wrap=True)
        svg = console.export_svg(title="", theme=THEME)
    svg = svg.replace("Fira Code", "DejaVu Sans Mono")  # a font that needs no network
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    width, height = (float(size) for size in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
    page = work / "terminal.html"
    page.write_text(f'<body style="margin:0;width:{width}px">{svg}</body>', encoding="utf-8")
    chromium.get(page.as_uri())
    resize(chromium, round(width), round(height))
    (HERE / "terminal.png").write_bytes(chromium.get_screenshot_as_png())


def styled_row(screen: pyte.Screen, y: int) -> Text:
    """One row of the screen with its colours."""
    text = Text()
    for x in range(screen.columns):
        char = screen.buffer[y][x]
        style = Style(
            color=colour(char.fg),
            bgcolor=colour(char.bg),
            bold=char.bold,
            dim=char.blink,
            italic=char.italics,
            underline=char.underscore,
            reverse=char.reverse,
        )
        text.append(char.data, style)
    return text


def colour(name: str) -> str | None:
    """pyte's colour name in rich's spelling."""
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name).replace("bright", "bright_")


def picture_of_tensorboard(chromium: webdriver.Chrome, address: str) -> None:
    """tensorboard.png: loss and accuracy, training and validation, of all runs."""
    resize(chromium, 1310, 836)
    query = "?darkMode=false&smoothing=0&tagFilter=(loss%7Caccuracy)/(train%7Cval)"
    chromium.get(f"{address}/{query}#timeseries")
    wait = WebDriverWait(chromium, DRAW_SECONDS)
    wait.until(lambda page: len(page.find_elements(By.CSS_SELECTOR, "scalar-card line-chart")) == 4)
    # More room for the curves: without the tables below them and without the settings beside them.
    chromium.find_element(By.CSS_SELECTOR, ".scalars-step-selector input").click()
    chromium.find_element(By.CSS_SELECTOR, "button.settings-button").click()
    wait.until(lambda page: not page.find_elements(By.CSS_SELECTOR, "scalar-card mat-spinner"))
    time.sleep(3)  # the lines are drawn by a worker that tells nobody when it is done
    (HERE / "tensorboard.png").write_bytes(chromium.get_screenshot_as_png())


def resize(chromium: webdriver.Chrome, width: int, height: int) -> None:
    """Makes the page, which is smaller than its window, that many pixels large."""
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """A Chromium without a window and with a profile of its own."""
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in ("headless", "no-sandbox", "disable-gpu", "hide-scrollbars"):
            options.add_argument(f"--{flag}")
        options.add_argument(f"--user-data-dir={profile}")
        service = webdriver.ChromeService("/usr/bin/chromedriver")
        chromium = webdriver.Chrome(options, service)
        try:
            yield chromium
        finally:
            chromium.quit()


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """The address of a TensorBoard on the runs in `folder`, once it answers."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = ["--logdir", str(folder), "--host", "localhost", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://localhost:{port}"
    try:
        wait_until_loaded(process, address)
        yield address
    finally:
        process.terminate()
        process.wait()


def wait_until_loaded(process: subprocess.Popen[bytes], address: str) -> None:
    """Returns when TensorBoard has found runs; raises RuntimeError when it ends or takes long."""
    deadline = time.monotonic() + DRAW_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/data/runs", timeout=10) as answer:
                if answer.read().strip() != b"[]":
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"TensorBoard does not show any runs at {address}")


if __name__ == "__main__":
    main()
