"""What the page about frameworks shows; the tests run it."""

import asyncio

from calls import history
from semantic_kernel.connectors.ai.open_ai import AzureChatCompletion, AzureChatPromptExecutionSettings

from smalt.integrations.semantic_kernel import KernelManager


async def main() -> None:
    async with KernelManager.load("smalt.yaml") as manager:
        await manager.connect()
        narrator = manager.kernel("narrator")  # whatever names no service is the narrator's
        answer = await narrator.invoke_prompt("Describe the cellar.")
        everyone = manager.kernel()
        rules = everyone.get_service("rules", type=AzureChatCompletion)
        verdict = await rules.get_chat_message_content(history("May I?"), AzureChatPromptExecutionSettings())
    assert str(answer)
    assert str(verdict)


asyncio.run(main())
