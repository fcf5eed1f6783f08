"""What people ask: prompts of all lengths and languages, longer and shorter answers, at random times."""

from collections.abc import Callable
from random import Random
from typing import Final

from tests.simulation.azure import MODEL, Request, arrival_charge
from tests.simulation.fleet import Fleet

from smalt.emulator.quota import Load
from smalt.types import Facts, Operation

FRAMING_BYTES: Final = (200, 500)  # names, roles and punctuation of the JSON around a prompt
LANGUAGES: Final = (  # share, bytes a character, characters a token
    (0.70, 1.02, 4.5),  # English
    (0.20, 1.05, 3.2),  # code
    (0.07, 1.15, 3.0),  # German, French
    (0.03, 2.90, 1.4),  # Japanese
)
MOST_OUTPUT_TOKENS: Final = (256, 500, 500, 1_000)
OUTPUT_TOKENS_PER_S: Final = 70.0
POOL: Final = 2_000  # different requests; drawn from again and again


def chat(chance: Random) -> Request:
    """A request as it may come. About 1,250 tokens are charged for it; used are 720 of the prompt and 220 of
    the answer."""
    _, bytes_a_char, chars_a_token = chance.choices(LANGUAGES, [share for share, *_ in LANGUAGES])[0]
    chars = int(min(40_000.0, max(40.0, chance.lognormvariate(7.6, 0.8))))
    most = chance.choice(MOST_OUTPUT_TOKENS)
    used = Load(
        int(chars / chars_a_token * chance.uniform(0.93, 1.07)) + 8,
        int(min(most, 1 + chance.lognormvariate(5.3, 0.7))),
    )
    head_s = chance.lognormvariate(-0.9, 0.4) + used.input_tokens / 20_000
    facts = Facts(
        Operation.CHAT,
        MODEL,
        stream=chance.random() < 0.5,
        prompt_bytes=int(chars * bytes_a_char) + chance.randint(*FRAMING_BYTES),
        max_tokens=most,
    )
    total_s = head_s + used.output_tokens / OUTPUT_TOKENS_PER_S
    return Request(facts, arrival_charge(chars, most), used, head_s, total_s)


def request(charged_tokens: int, *, total_s: float = 1.0, affinity: int | None = None) -> Request:
    """One of a size that everybody agrees on: smalt, Azure and the bill."""
    most = charged_tokens // 2
    prompt_tokens = charged_tokens - most
    facts = Facts(
        Operation.CHAT, MODEL, prompt_bytes=4 * (prompt_tokens - 1), max_tokens=most, affinity=affinity
    )
    return Request(facts, Load(prompt_tokens, most), Load(prompt_tokens, most), total_s, total_s)


class Traffic:
    """Requests of `chat`, one of `POOL` at a time."""

    def __init__(self, seed: int) -> None:
        chance = Random(seed)
        self._pool = [chat(chance) for _ in range(POOL)]

    def one(self, chance: Random) -> Request:
        return chance.choice(self._pool)

    def mean(self, of: Callable[[Request], float]) -> float:
        return sum(map(of, self._pool)) / POOL


def offer(
    fleet: Fleet, ask: Callable[[Random], Request], *, per_s: float, until_s: float, total_s: float = 600.0
) -> None:
    """Requests come independently of each other, `per_s` on the average."""
    world = fleet.world

    def come() -> None:
        fleet.call(ask(world.chance), total_s=total_s)
        plan()

    def plan() -> None:
        delay_s = world.chance.expovariate(per_s)
        if world.now + delay_s < until_s:
            world.after(delay_s, come)

    plan()
