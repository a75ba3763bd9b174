"""Where each shell looks for completions, and the line that its startup file may need."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from dlrun.errors import UserError, shown

SHELLS = ("bash", "zsh", "fish")
MARK = "# dlrun completion"  # how the scripts begin and the lines end


def script(shell: str) -> str:
    """The script that a shell is to read."""
    return (Path(__file__).parent / f"dlrun.{shell}").read_text("utf-8")


def login_shell() -> str:
    """The shell in $SHELL. Raises UserError where that is none that we know."""
    shell = os.path.basename(os.environ.get("SHELL", ""))
    if shell not in SHELLS:
        raise UserError(
            f"dlrun completion: $SHELL is {shown(shell) or 'not set'}; expected "
            f"{', '.join(SHELLS)} (type dlrun completion install bash)"
        )
    return shell


def install(shell: str) -> list[str]:
    """Writes the script where the shell finds it; lines that say what was done.

    bash and zsh get a line in their startup file, bash only where bash-completion is not used:
    that would load the script by itself. What is as it should be stays untouched.
    Raises UserError for a file in our place that is not ours, or that cannot be written.
    """
    place, startup = script_file(shell), startup_file(shell)
    _require_ours(place)
    said = [_replace(place, script(shell).encode(), "wrote {}", "{} is up to date")]
    if startup is not None and not (shell == "bash" and uses_bash_completion(startup)):
        content = _read(startup)
        line = os.fsencode(startup_line(place))
        others = [other for other in content.splitlines(True) if not _is_ours(other)]
        kept = b"".join(others)
        gap = b"" if not kept or kept.endswith(b"\n") else b"\n"
        if line in content.splitlines():
            said.append(f"{startup} reads it")
        else:
            said.append(_replace(startup, kept + gap + line + b"\n", "added to {}:", ""))
            said.append(f"  {line.decode(errors='replace')}")
    return [*said, f"It works in every new {shell}; dlrun completion uninstall {shell} undoes it."]


def uninstall(shell: str) -> list[str]:
    """Removes what `install` has written; lines that say what was done."""
    place, startup = script_file(shell), startup_file(shell)
    said = []
    if startup is not None:
        lines = _read(startup).splitlines(True)
        kept = [line for line in lines if not _is_ours(line)]
        if kept != lines:
            said.append(_replace(startup, b"".join(kept), "took the line out of {}", ""))
    if place.exists():
        _require_ours(place)
        try:
            place.unlink()
        except OSError as error:
            raise UserError(f"{place}: cannot be removed ({error.strerror})") from error
        said.append(f"removed {place}")
    return said or [f"nothing to undo: completion is not installed for {shell}"]


def script_file(shell: str) -> Path:
    """Where the script lies: a folder in which the shell or bash-completion looks for it."""
    if shell == "fish":
        return _folder("XDG_CONFIG_HOME", ".config") / "fish" / "completions" / "dlrun.fish"
    data = _folder("XDG_DATA_HOME", ".local/share")
    if shell == "zsh":
        return data / "dlrun" / "dlrun.zsh"
    own = os.environ.get("BASH_COMPLETION_USER_DIR", "").split(":")[0]
    return (Path(own) if own else data / "bash-completion") / "completions" / "dlrun"


def startup_file(shell: str) -> Path | None:
    """The file that an interactive shell reads first; None where it needs no line in there."""
    if shell == "zsh":
        return Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc"
    return Path.home() / ".bashrc" if shell == "bash" else None


def startup_line(place: Path) -> str:
    """The line that reads the script, if it is still there.

    >>> startup_line(Path("/home/ada/dlrun.zsh"))
    '[ -r /home/ada/dlrun.zsh ] && . /home/ada/dlrun.zsh # dlrun completion'
    """
    quoted = shlex.quote(str(place))
    return f"[ -r {quoted} ] && . {quoted} {MARK}"


def uses_bash_completion(startup: Path) -> bool:
    """Whether the startup file loads bash-completion, as that of most Linux systems does."""
    lines = (line.strip() for line in _read(startup).splitlines())
    return any(b"bash_completion" in line and not line.startswith(b"#") for line in lines)


def _is_ours(line: bytes) -> bool:
    return line.rstrip().endswith(MARK.encode())


def _folder(variable: str, below_home: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / below_home)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _require_ours(place: Path) -> None:
    if not _read(place).startswith(MARK.encode()) and place.exists():
        raise UserError(f"{place}: is not of dlrun completion (move it out of the way)")


def _replace(path: Path, content: bytes, done: str, needless: str) -> str:
    """Writes a file that is not so already, in one go; says which of the two it was.

    A startup file that is a link into somebody's dotfiles stays one.
    """
    if path.exists() and _read(path) == content:
        return needless.format(path)
    real = path.resolve()
    beside = real.with_name(f".{real.name}.dlrun")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        if real.exists():
            beside.chmod(real.stat().st_mode & 0o7777)
        os.replace(beside, real)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    return done.format(path)
