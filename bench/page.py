"""The figures of the documentation: a table and a picture, with the date, the machine and the versions."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from math import isnan, log
from pathlib import Path

from bench import nginx

PAGE = Path(__file__).parent.parent / "docs/explanation/performance.md"
PICTURE = PAGE.with_name("performance.svg")
BEGIN, END = "<!-- figures: make bench writes them -->\n", "<!-- end of figures -->\n"
HEADS = (
    "| | CPU a request | to nginx's | CPU a chunk | to nginx's | adds (p50) | adds (p99) | idle | a stream |"
)
COLUMNS = {
    "request_us": "{:,.0f} us",
    "request_ratio": "{:.1f}",
    "chunk_us": "{:,.0f} us",
    "chunk_ratio": "{:.1f}",
    "added_p50_us": "{:,.0f} us",
    "added_p99_us": "{:,.0f} us",
    "idle_mib": "{:,.0f} MiB",
    "stream_kib": "{:,.0f} KiB",
}

SHORTEST = 0.7  # a ratio whose bar has no length
LEFT, WIDTH, BAR, GAP, TOP = 110, 560, 22, 26, 44
COLOURS = {"smalt": "#2456c4"}
OTHER = "#9aa5b5"

Found = dict[str, dict[str, float]]  # figures by proxy


def write(found: Found) -> None:
    """Renew the page and the picture."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    stamp = stamped()
    picture = f"![CPU time of a request and of a streamed chunk, as ratios to nginx]({PICTURE.name})"
    smalt = found["smalt"]
    memory = f"After many requests smalt's memory had grown by {smalt['grown_mib']:.1f} MiB."
    PAGE.write_text(f"{before}{BEGIN}\n{stamp}\n\n{table(found)}\n{memory}\n\n{picture}\n\n{END}{after}")
    PICTURE.write_text(drawn(found, stamp.partition(";")[0]))


def stamped() -> str:
    """When and where, and of which versions."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in cpus if line.startswith("model name")]
    told = subprocess.run([nginx.find(), "-v"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {len(models)} cores of {models[0]}; Python "
        f"{platform.python_version()}, uvicorn {version('uvicorn')}, uvloop {version('uvloop')}, "
        f"nginx {told.strip().rpartition('/')[2]}. The load average was {os.getloadavg()[1]:.1f}."
    )


def table(found: Found) -> str:
    lines = [HEADS, "|---" + "|---:" * len(COLUMNS) + "|"]
    for name, figures in ordered(found, "request_us"):
        cells = [
            "-" if isnan(figures[column]) else form.format(figures[column])
            for column, form in COLUMNS.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def ordered(found: Found, by: str) -> list[tuple[str, dict[str, float]]]:
    return sorted(found.items(), key=lambda item: item[1][by])


def drawn(found: Found, stamp: str) -> str:
    """An SVG of bars, whose lengths are logarithms: else one leaves nothing to see of the others."""
    parts, y = [], TOP
    for kind, title in (("request", "a request"), ("chunk", "a streamed chunk")):
        parts.append(text(0, y - 12, f"CPU time of {title}, nginx = 1 (logarithmic)", "font-weight='bold'"))
        rows = ordered(found, f"{kind}_ratio")
        scale = WIDTH / log(rows[-1][1][f"{kind}_ratio"] / SHORTEST)
        for name, figures in rows:
            ratio = figures[f"{kind}_ratio"]
            length = scale * log(max(ratio, 1) / SHORTEST)
            colour = COLOURS.get(name, OTHER)
            middle = y + BAR - 6
            parts += [
                text(LEFT - 8, middle, name, "text-anchor='end'"),
                f"<rect x='{LEFT}' y='{y}' width='{length:.1f}' height='{BAR}' fill='{colour}'/>",
                text(LEFT + length + 6, middle, f"{ratio:.1f}"),
            ]
            y += GAP
        y += TOP
    parts.append(text(0, y - TOP // 2, stamp, "fill='#667' font-size='11'"))
    width = LEFT + WIDTH + 60
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='-10 0 {width} {y}' font-family='sans-serif' "
        f"font-size='13'>\n<rect x='-10' width='{width}' height='{y}' fill='white'/>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def text(x: float, y: float, said: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y}' {more}>{said}</text>"
