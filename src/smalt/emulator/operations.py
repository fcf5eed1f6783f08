"""The operations a deployment can be asked for, by the end of their path."""

from smalt.emulator import chat, completions, embeddings
from smalt.emulator.responses import create

OPERATIONS = {
    "chat/completions": chat.OPERATION,
    "completions": completions.OPERATION,
    "embeddings": embeddings.OPERATION,
    "responses": create.OPERATION,
}
