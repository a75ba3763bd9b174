"""Makes the picture of `dlrun serve` for the README: serve.png, a digit drawn in a real browser.

Run it from anywhere, in an environment that has dlrun:

    pip install -e .[pictures]
    python tests/readme/serve_picture.py [RUN]

RUN is the directory of a run on images of digits; without it a small one is trained first. It
needs Chromium and its driver (Debian: apt install chromium chromium-driver). What is started here
is ended here.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from make_pictures import HERE, browser, dlrun_command, resize, run_dlrun
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

Point = tuple[float, float]  # from the left and from the top, as shares of the paper's side
DIGIT = "3"
TRAINING = ["model=cnn", "optim=adam", "epochs=8", "-q"]
ANSWER_SECONDS = 60


def main() -> None:
    """Writes the picture beside this file."""
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        run = sys.argv[1] if len(sys.argv) > 1 else trained(Path(folder))
        with served(run, Path(folder)) as address:
            resize(chromium, 1080, 645)
            chromium.get(address)
            draw(chromium, three())
            answer = WebDriverWait(chromium, ANSWER_SECONDS).until(settled_answer)
            assert answer == DIGIT, f"the network takes the {DIGIT} for {answer}"
            (HERE / "serve.png").write_bytes(chromium.get_screenshot_as_png())
    print(f"{HERE / 'serve.png'}  {(HERE / 'serve.png').stat().st_size / 1000:.0f} kB")


def trained(work: Path) -> str:
    """The directory of a small run on digits, trained below `work`."""
    run_dlrun(TRAINING, work)
    (summary,) = work.glob("outputs/runs/*/*/summary.json")
    return str(summary.parent)


@contextmanager
def served(run: str, work: Path) -> Iterator[str]:
    """The address of the page of a run while it is served."""
    words = ["serve", str(Path(run).resolve()), "--port", "0"]
    process = subprocess.Popen(
        dlrun_command(words), cwd=work, stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, f"dlrun serve {run} has not begun to serve"
        yield f"http://{line.partition('http://')[2].split()[0]}"
    finally:
        process.terminate()
        process.wait()


def draw(chromium: webdriver.Chrome, strokes: Sequence[Sequence[Point]]) -> None:
    """Moves the mouse over the page's paper as a hand would, each stroke with the button down."""
    paper = chromium.find_element(By.ID, "paper")
    box = paper.rect
    for stroke in strokes:
        hand = ActionBuilder(chromium, duration=8)  # milliseconds from point to point
        for k, (x, y) in enumerate(stroke):
            left, top = box["x"] + x * box["width"], box["y"] + y * box["height"]
            hand.pointer_action.move_to_location(round(left), round(top))
            if k == 0:
                hand.pointer_action.pointer_down()
        hand.pointer_action.pointer_up()
        hand.perform()
    ActionChains(chromium).move_by_offset(0, 0).perform()


def arc(centre: Point, radii: Point, start: float, end: float, points: int = 24) -> list[Point]:
    """Points on an ellipse from one angle to another, in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * k / (points - 1)) for k in range(points)]
    return [
        (centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles
    ]


def three() -> list[list[Point]]:
    """A 3 of two bows, in one stroke."""
    upper = arc((0.48, 0.33), (0.17, 0.15), 200, 440)
    lower = arc((0.48, 0.65), (0.20, 0.17), -80, 155)
    return [upper + lower]


def seven() -> list[list[Point]]:
    """A 7: a bar, and a curved stem from its right end."""
    bar = [(0.30 + 0.38 * k / 12, 0.24 + 0.01 * math.sin(k)) for k in range(13)]
    stem = [(0.68 - 0.24 * (k / 16) ** 0.7, 0.24 + 0.56 * k / 16) for k in range(17)]
    return [bar + stem]


def settled_answer(chromium: webdriver.Chrome) -> str | None:
    """The large word on the page; None while it is still changing."""
    seen = []
    for _ in range(4):
        seen.append(chromium.find_element(By.ID, "answer").text)
        chromium.execute_async_script("setTimeout(arguments[0], 250)")
    return seen[0] if seen[0] and len(set(seen)) == 1 else None


if __name__ == "__main__":
    main()
