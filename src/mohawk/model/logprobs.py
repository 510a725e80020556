"""How likely tokens were, by the logits as the model computed them."""

from __future__ import annotations

import torch

from mohawk.nouns.sampling import LEAST_LOGPROB, TokenLogprobs


@torch.inference_mode()
def token_logprobs(row: torch.Tensor, token: int, top: int) -> TokenLogprobs:
    """row [vocabulary] logits, the token that was chosen, how many of the likeliest to tell. In float32."""
    values = torch.log_softmax(row.to(torch.float32), dim=-1).clamp(LEAST_LOGPROB, 0.0)
    best = values.topk(min(top, len(values))) if top else None
    if best is None:
        return TokenLogprobs(float(values[token]))
    return TokenLogprobs(float(values[token]), tuple(best.indices.tolist()), tuple(best.values.tolist()))
