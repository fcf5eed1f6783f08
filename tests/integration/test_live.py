"""Against a real Azure OpenAI deployment: `pytest -m live`. Skipped without one."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import smalt

ROOT = Path(__file__).parents[2]


@pytest.mark.live
def test_chat_with_a_real_deployment(azure: Mapping[str, str]) -> None:
    """One chat through the library comes back with text and usage."""
    client = smalt.AzureOpenAI(
        azure_endpoint=azure["AZURE_OPENAI_ENDPOINT"],
        api_key=azure["AZURE_OPENAI_API_KEY"],
        api_version="2024-10-21",
    )
    with client:
        answer = client.chat.completions.create(
            model=azure["AZURE_OPENAI_DEPLOYMENT"],
            messages=[{"role": "user", "content": "Say hello."}],
            max_completion_tokens=2_000,  # reasoning models think before they speak
        )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


def test_req_1_38_live_tests_are_skipped_without_credentials() -> None:
    """`pytest -m live` without the variables skips, and calls that a success."""
    command = [sys.executable, "-m", "pytest", "-m", "live", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 skipped" in done.stdout
    assert "passed" not in done.stdout
