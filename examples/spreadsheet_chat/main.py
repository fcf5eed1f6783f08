"""Chat about a spreadsheet: through a proxy; directly to Azure if that is lost; to OpenAI if both are.

    python examples/spreadsheet_chat/main.py          # ask; /down proxy and /up proxy, or azure, or openai
    python examples/spreadsheet_chat/main.py --demo   # asks by itself, while one path after the other is lost

An emulator plays all three. For real ones set the variables that smalt.yaml names, and load it without `env`.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import openai

import smalt
from smalt.emulator import load_fleet
from smalt.emulator.testing import Handle, running

HERE = Path(__file__).parent
INSTRUCTIONS = "Answer questions about this table in one sentence, from its numbers alone.\n\n"
DEGRADED = "The assistant rests; your table is safe. Try again soon."
DEMO = (
    "Tell me which region sold more.",
    "/down proxy",
    "How many lamps were sold?",
    "/down azure",
    "And how did vases do?",
    "/down openai",
    "What was the best month?",
    "/up proxy",
    "What was the best month?",
)


class Chat:
    """A conversation about one table; `messages` is all it remembers."""

    def __init__(self, client: openai.OpenAI, table: str) -> None:
        self.client = client
        self.messages: list[Any] = [{"role": "system", "content": INSTRUCTIONS + table}]

    def ask(self, question: str) -> str:
        """The answer, and the path it came by."""
        asked = [*self.messages, {"role": "user", "content": question}]
        try:
            answer = self.client.chat.completions.create(model="gpt-4o", messages=asked)
        except openai.APIError as error:
            return f"{DEGRADED}\n{path(error)}"
        text = answer.choices[0].message.content or ""
        self.messages = [*asked, {"role": "assistant", "content": text}]
        return f"{text}\n{path(answer)}"


def path(answer: object) -> str:
    """Who was asked for it, in order."""
    receipt = smalt.receipt(answer)
    if receipt is None:
        return ""
    asked = [
        f"{attempt.upstream.partition('/')[0]} {'lost' if attempt.failure else 'answered'}"
        for attempt in receipt.attempts
    ]
    cost = f"; {receipt.cost_usd:f} USD" if receipt.cost_usd else ""
    return f"  [{', '.join(asked)}{cost}]"


def questions() -> Iterator[str]:
    """The demo's, or those that are typed until Ctrl-D."""
    if "--demo" in sys.argv[1:] or not sys.stdin.isatty():
        for line in DEMO:
            print(f"\n> {line}")
            yield line
        return
    print("Ask about sales.csv, such as: how many lamps were sold? /down proxy loses a path; Ctrl-D ends.")
    while True:
        try:
            yield input("\n> ")
        except EOFError:
            return


def converse(chat: Chat, azure: Handle, lines: Iterable[str]) -> None:
    """Answer every line; /down and /up are for the emulator."""
    for line in lines:
        command, _, path_name = line.partition(" ")
        if command not in {"/down", "/up"}:
            print(chat.ask(line))
        elif path_name in {"proxy", "azure", "openai"}:
            azure.set(path_name, command.removeprefix("/"))
        else:
            print("There are proxy, azure and openai.")


def variables(azure: Handle) -> dict[str, str]:
    """What smalt.yaml asks for, of the paths that the emulator plays."""
    return {
        "LITELLM_BASE_URL": f"{azure.url('proxy')}/openai/v1",
        "LITELLM_API_KEY": azure.key("proxy"),
        "AZURE_OPENAI_ENDPOINT": azure.url("azure"),
        "AZURE_OPENAI_API_KEY": azure.key("azure"),
        "OPENAI_BASE_URL": f"{azure.url('openai')}/openai/v1",
        "OPENAI_API_KEY": azure.key("openai"),
    }


def main() -> None:
    with (
        running(load_fleet(HERE / "emulator.yaml")) as azure,
        smalt.Fleet.load(HERE / "smalt.yaml", env=variables(azure)) as fleet,
        fleet.openai(timeout=30) as client,
    ):
        chat = Chat(client, (HERE / "sales.csv").read_text())
        converse(chat, azure, questions())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
