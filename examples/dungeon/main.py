"""A dungeon for one hero and three agents, while a region of Azure is lost in the middle.

    python examples/dungeon/main.py             # an emulator plays Azure; it takes some seconds
    python examples/dungeon/main.py --seed 7    # other dice, another story

The rules keeper decides with dice, the narrator tells what came of it, the scribe notes what is worth
remembering and finds it again. Their models, temperatures and instructions stand in smalt.yaml.
"""

import argparse
import random
import sys
from decimal import Decimal
from operator import mul
from pathlib import Path
from typing import Any

import openai

from smalt import Fleet
from smalt.emulator import load_fleet
from smalt.emulator.testing import Handle, running

HERE = Path(__file__).parent
HERO = "Ada"
ACTIONS = (
    "light a torch and go down the stairs",
    "listen at the door",
    "pick the lock",
    "greet the old guard",
    "take the blue glass and leave",
)
LOST_BEFORE = 2  # the action before which the first region is lost


class RulesKeeper:
    """Decides by dice: the model says how hard it is, the dice whether it succeeds."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.agent = fleet.agent("rules")
        self.dice = random.Random(seed)
        self.verdict = ""

    def check(self, difficulty: int) -> str:
        """Roll a die of twenty sides against a difficulty from 1, which is easy, to 20."""
        rolled = self.dice.randint(1, 20)
        outcome = "success" if rolled >= difficulty else "failure"
        self.verdict = f"{rolled} against {difficulty}, {outcome}"
        return self.verdict

    def decide(self, action: str) -> str:
        self.verdict = "no dice, success"  # unless the model has them rolled
        self.agent.run(f"{HERO} wants to {action}.", tools=[self.check])
        return self.verdict


class Scribe:
    """The memory of the game: notes, found again by their meaning."""

    def __init__(self, fleet: Fleet, client: openai.OpenAI) -> None:
        self.agent = fleet.agent("scribe")
        self.client = client
        self.notes: list[tuple[str, list[float]]] = []

    def note(self, scene: str) -> str:
        text = self.agent.run(scene).text
        self.notes.append((text, self.meaning(text)))
        return text

    def recall(self, action: str, most: int = 2) -> list[str]:
        """What was noted that is nearest to the action."""
        asked = self.meaning(action)
        near = sorted(self.notes, key=lambda note: sum(map(mul, asked, note[1])), reverse=True)
        return [text for text, _ in near[:most]]

    def meaning(self, text: str) -> list[float]:
        return self.client.embeddings.create(model="agent/memory", input=text).data[0].embedding


def play(fleet: Fleet, client: openai.OpenAI, azure: Handle, seed: int) -> None:
    narrator, rules, scribe = fleet.agent("narrator"), RulesKeeper(fleet, seed), Scribe(fleet, client)
    story: Any = ()
    for number, action in enumerate(ACTIONS):
        if number == LOST_BEFORE:
            azure.set("east", "down")
            print("\n  ~ far away, the region east goes dark ~")
        verdict = rules.decide(action)
        scene = narrator.run(
            f"I {action} ({verdict}).",
            history=story,
            variables={"hero": HERO, "memories": scribe.recall(action)},
        )
        story = scene.messages
        print(f"\n> {action}  [{verdict}]\n{scene.text}")
        print(f"  noted: {scribe.note(scene.text)}")
        print(f"  told in {scene.receipts[-1].region}, for {scene.cost_usd:f} USD")


def bill(fleet: Fleet, azure: Handle) -> None:
    """By agent, and beside the sum what Azure bills."""
    print(f"\n{'agent':<10}{'calls':>7}{'attempts':>10}{'tokens':>9}{'USD':>14}")
    tokens = 0
    for agent, sums in fleet.usage("agent").items():
        spent = sums.input_tokens + sums.output_tokens
        cost_usd = Decimal(sums.cost_nusd).scaleb(-9)
        print(f"{agent:<10}{sums.calls:>7}{sums.attempts:>10}{spent:>9,}{cost_usd:>14f}")
        tokens += spent
    totals = azure.bill()["totals"]
    print(f"{tokens:,} tokens; Azure bills {totals['input_tokens'] + totals['output_tokens']:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description="A dungeon for one hero and three agents.")
    parser.add_argument("--seed", type=int, default=1, help="of the dice")
    seed = parser.parse_args().seed
    with running(load_fleet(HERE / "emulator.yaml")) as azure:
        env = {
            f"{region.upper()}_{what}": value
            for region in ("east", "sweden")
            for what, value in (("ENDPOINT", azure.url(region)), ("KEY", azure.key(region)))
        }
        with Fleet.load(HERE / "smalt.yaml", env=env) as fleet, fleet.openai() as client:
            play(fleet, client, azure, seed)
            bill(fleet, azure)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
