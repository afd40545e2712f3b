"""Rows of what a machine can prove: each is PROVEN with what was seen, or NOT with the reason."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field


class NotProven(Exception):
    """What was looked for is not so, or can't be looked for here; the message says why."""


@dataclass
class Proofs:
    """The rows so far; each is printed when it is decided."""

    rows: list[tuple[str, bool]] = field(default_factory=list)

    def row(self, name: str, look: Callable[[], str]) -> bool:
        """Look, print the row and return whether it is proven; any error of the look is the reason why not."""
        try:
            detail, proven = look(), True
        except Exception as error:  # noqa: BLE001 - a row that can't be looked at must not hide the others
            detail, proven = _one_line(error), False
        self.rows.append((name, proven))
        print(f"{'PROVEN' if proven else 'NOT'}: {name}: {detail}", flush=True)
        return proven

    def exit_code(self) -> int:
        """Return 0 if there are rows and each is proven, else 1."""
        return 0 if self.rows and all(proven for _, proven in self.rows) else 1


def command(*words: str, timeout_s: float = 600) -> str:
    """Run a command and return its output; `NotProven` with its last line if it fails or can't be started."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotProven(f"{' '.join(words[:3])}: {_one_line(error)}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "without a word").splitlines()[-1]
        raise NotProven(f"{' '.join(words[:3])} ended with {done.returncode}: {last}")
    return done.stdout.strip()


def need_image(image: str) -> str:
    """Return the id of an image, pulled where it is not there; `NotProven` where it can't be had."""
    try:
        try:
            return command("docker", "image", "inspect", "--format", "{{.Id}}", image)
        except NotProven:
            command("docker", "pull", "--quiet", image)
            return command("docker", "image", "inspect", "--format", "{{.Id}}", image)
    except NotProven as error:
        raise NotProven(f"image can't be had: {error}") from error


def _one_line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:400]
