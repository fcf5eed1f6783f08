"""`smalt init --from-azure`: a smalt.yaml of what a subscription has."""

import json
import os
import ssl
from pathlib import Path

from smalt.cli.doctoring import quiet
from smalt.cli.initializing import next_steps, problems_of, refuse_existing, render
from smalt.cli.writing import write_text
from smalt.config.identity import Identity
from smalt.doctor.arm import ArmRefused, arm_for
from smalt.doctor.discovery import Discovered, discover
from smalt.doctor.surroundings import Surroundings
from smalt.doctor.tokens import NoToken
from smalt.errors import ConfigurationError


def run(output: Path, subscription: str | None, *, force: bool, as_json: bool) -> None:
    """Raises ConfigurationError if nothing is found, ARM does not tell, or the file cannot be written."""
    refuse_existing(output, force=force)
    found = _found(subscription)
    write_text(output, render(found.data))
    problems = problems_of(output)
    if as_json:
        print(json.dumps({"file": str(output), "problems": problems, "left_out": found.left_out}))
        return
    for line in found.left_out:
        print(f"left out: {line}")
    print("\n".join(next_steps(output, problems)))
    print("Then: smalt doctor, which says whether the identity may use what was found.")


def _found(subscription: str | None) -> Discovered:
    quiet()
    arm = arm_for("", Identity(), ssl.create_default_context(), Surroundings(os.environ))
    try:
        return discover(arm, subscription)
    except NoToken as error:
        diagnosis = error.diagnosis
        raise ConfigurationError(f"{diagnosis.cause}: {error.text}", problems=diagnosis.mend) from None
    except ArmRefused as error:
        raise ConfigurationError(
            f"ARM does not tell: {error.text}",
            problems=("See who asks: az account show. The role Reader on the subscription is enough.",),
        ) from None
