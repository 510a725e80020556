"""A stage onto one worker: sealed slices first, keys last. The same for a first start, a repair, and a move.

A worker may hold sealed slices that it has no key for: `deliver_run` ahead of need is what makes a spare quick. It
serves one stage at a time; loading another replaces the one that it has, whose weights are overwritten before, or waits
beside it for a route.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import LoadStage
from mohawk.contract.steps import ElementType
from mohawk.controller.delivery import deliver_slices, deliver_tokenizer
from mohawk.controller.keys import KeyRelease
from mohawk.controller.member import Member
from mohawk.host.sealed_folder import SealedFolder
from mohawk.nouns.model import DataType, LayerRange
from mohawk.transport.dial import Target

Progress = Callable[[str, int, int], None]
"""Told a worker's name, the bytes of its slices that it holds, and their size."""


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How the stages compute. `kv_tokens`: tokens that each stage's KV pool holds; `token_budget`: most rows in a step;
    `hidden_size`: width of the activations between stages.
    """

    compute: DataType
    kv_tokens: int
    token_budget: int
    hidden_size: int


@dataclass(frozen=True, slots=True)
class StageLoader:
    """One sealed model, on its way into workers."""

    context: NodeContext
    folder: SealedFolder
    options: ServingOptions
    config: bytes
    """config.json"""

    async def deliver_run(self, target: Target, layers: LayerRange, progress: Progress) -> int:
        """Make sure that the worker holds the sealed slices of `layers`, for now or for later; the bytes that had to
        be sent. It gets no key. Raises like `deliver_slices`, ArtifactError: `layers` are no run of slices.
        """
        parts = self.folder.manifest.find_run(layers)
        size = sum(part.sealed_bytes for part in parts)
        return await deliver_slices(
            self.context, target, self.folder, parts, lambda done: progress(target.name, done, size)
        )

    async def load(
        self,
        member: Member,
        layers: LayerRange,
        epoch: int,
        keys: KeyRelease,
        progress: Progress,
        *,
        beside: bool = False,
    ) -> None:
        """Have `member` hold a stage of `layers`, tested, in place of the one that it may have: it is in no chain then,
        and a route of `epoch` or later must follow. With `beside` it goes on with the other one until then.

        Raises like `deliver_run` and `Member.load`. Whether it still has its earlier stage is then unknown; with
        `beside` it has.
        """
        member.sent_bytes = await self.deliver_run(member.target, layers, progress)
        if layers.last == self.folder.manifest.layers - 1:  # it samples, also under grammars over the tokens' text
            await deliver_tokenizer(self.context, member.target, self.folder)
        await member.load(self._order(layers, epoch, beside=beside), self.folder.manifest.find_run(layers), keys)

    def _order(self, layers: LayerRange, epoch: int, *, beside: bool) -> LoadStage:
        return LoadStage(
            manifest=self.folder.envelope,
            run_id=layers.slice_id,
            config=self.config,
            compute=ElementType[self.options.compute.value],
            kv_tokens=self.options.kv_tokens,
            token_budget=self.options.token_budget,
            epoch=epoch,
            beside=beside,
        )
