"""What a server says of texts that it will not take: one of them is too long, or they are too many for a request.

Statuses are those of OpenAI and vLLM, of a proxy before them, and of text-embeddings-inference; llama-server says 500
of a text that is longer than its batch, and means this.
"""

from __future__ import annotations

from xqe.models.engines.client import Client
from xqe.models.engines.exchange import Answer

TRUNCATING = {"truncate": True, "truncate_prompt_tokens": -1}
"""What asks a server to cut what is too long: text-embeddings-inference's word for it, and vLLM's."""

_REFUSING = {400, 413, 422}
_TOO_LARGE = 413
_BATCH_ERROR = 500
_TOO_LONG = ("too long", "too large", "context length", "context size", "must have less than")
_TOO_MANY = ("too many", "maximum allowed batch size")


class RefusedError(Exception):
    """A server does not take some texts. is_too_long: one of them is; is_too_many: they are."""

    def __init__(self, message: str, is_too_long: bool, is_too_many: bool) -> None:
        super().__init__(message)
        self.is_too_long = is_too_long
        self.is_too_many = is_too_many


def check_refusal(response: Answer, client: Client) -> None:
    """Raise RefusedError for an answer that refuses texts. client: which got it."""
    if response.is_success:
        return
    text = response.text.lower()
    is_too_many = response.status == _TOO_LARGE or any(words in text for words in _TOO_MANY)
    is_too_long = response.status == _TOO_LARGE or any(words in text for words in _TOO_LONG)
    if response.status in _REFUSING or (response.status == _BATCH_ERROR and is_too_long):
        raise RefusedError(str(client.failure(response)), is_too_long, is_too_many)
