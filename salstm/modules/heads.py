"""From the features of three frames to the logits of the middle one: what the variants share."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from salstm.modules.convlstm import CHANNELS, ConvLSTMCell, States
from salstm.modules.patches import cut, join

Triple = tuple[int, int, int]


class Head(nn.Module):
    """Turns the features of (previous, centre, next) into logits of the centre."""

    @abstractmethod
    def forward(self, previous: Tensor, centre: Tensor, following: Tensor) -> Tensor:
        """From three maps of features, each ``(B, 64, H, W)``, to logits ``(B, classes, H, W)``."""

    def volume(self, features: Tensor, triples: Sequence[Triple]) -> Tensor:
        """The logits of many windows over one stack of features.

        Args:
            features: of N frames, ``(N, 64, H, W)``.
            triples: M windows as indices (previous, centre, next) into the N frames; not empty.

        Returns:
            ``(M, classes, H, W)``, in the order of the triples.
        """
        return torch.cat([self(*(features[k : k + 1] for k in triple)) for triple in triples])


class Centre(Head):
    """The middle frame alone: the head of ``plain``, whose features are the logits."""

    def forward(self, previous: Tensor, centre: Tensor, following: Tensor) -> Tensor:
        """Return ``centre``, ``(B, classes, H, W)``."""
        return centre


class Direction(nn.Module):
    """Two steps of a ConvLSTM, neighbour then centre, and a read-out of the second step's states.

    It works on the gates' input parts (as ``ConvLSTMCell.input_gates``) instead of the frames:
    whoever has a frame in several roles computes them once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cell = ConvLSTMCell()

    @abstractmethod
    def read(self, states: States) -> Tensor:
        """The direction's output Y ``(B, 64, H, W)`` from the states at the centre frame."""

    def forward(self, neighbour: Tensor, centre: Tensor) -> Tensor:
        """From two frames' gates to Y ``(B, 64, H, W)``.

        Args:
            neighbour: ``input_gates`` ``(B, 256, H, W)`` or ``first_gates`` ``(B, 192, H, W)``.
            centre: ``input_gates``.
        """
        return self.read(self.cell(centre, self.cell.begin(neighbour)))

    def sequence(self, patches: Tensor) -> Tensor:
        """Y of every step of a sequence, from its first to its last.

        Args:
            patches: ``(B, T, 64, h, w)``.

        Returns:
            ``(B, T, 64, h, w)``.
        """
        gates = self.cell.input_gates(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
        states = self.cell.first(gates[:, 0])
        outputs = [self.read(states)]
        for step in range(1, patches.shape[1]):
            states = self.cell(gates[:, step], states)
            outputs.append(self.read(states))
        return torch.stack(outputs, dim=1)

    def sweep(self, features: Tensor, pairs: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
        """Yield Y ``(1, 64, H, W)`` for one (neighbour, centre) after the other.

        Each frame's gates are computed once and dropped after their last use: over neighbouring
        frames in order, two frames' gates are held at a time, however long the volume (51 MB each
        at 224x224, float32).
        """
        left = Counter(index for pair in pairs for index in pair)
        kept: dict[int, Tensor] = {}

        def gates(index: int) -> Tensor:
            if index not in kept:
                kept[index] = self.cell.input_gates(features[index : index + 1])
            left[index] -= 1
            return kept[index] if left[index] else kept.pop(index)

        for neighbour, centre in pairs:
            yield self(gates(neighbour), gates(centre))


class Bidirectional(Head):
    """A net over (previous, centre), another over (next, centre), a 1x1 convolution (equation 8).

    Args:
        forward_net: the direction from the previous frame.
        reverse_net: the direction from the next frame, with weights of its own.
        classes: channels of the logits.
    """

    patches = False
    """Whether a single frame is read as a sequence of its patches instead of as its own neighbours."""

    def __init__(self, forward_net: Direction, reverse_net: Direction, classes: int) -> None:
        super().__init__()
        self.forward_net = forward_net
        self.reverse_net = reverse_net
        self.conv = nn.Conv2d(2 * CHANNELS, classes, 1)

    def forward(self, previous: Tensor, centre: Tensor, following: Tensor) -> Tensor:
        """From three maps of features, each ``(B, 64, H, W)``, to logits ``(B, classes, H, W)``.

        Where a frame plays its own neighbour (the same tensor), its gates are computed once.
        """
        if self.patches and previous is centre and following is centre:
            return self._alone(centre)
        outputs = []
        for net, neighbour in ((self.forward_net, previous), (self.reverse_net, following)):
            gates = net.cell.input_gates(centre)
            same = neighbour is centre
            outputs.append(net(gates if same else net.cell.first_gates(neighbour), gates))
        return self.conv(torch.cat(outputs, dim=1))

    def _alone(self, frame: Tensor) -> Tensor:
        """The logits of a frame without neighbours: one net from its first patch to its last, the other back."""
        sequence = cut(frame)
        ahead = self.forward_net.sequence(sequence)
        back = self.reverse_net.sequence(sequence.flip(1)).flip(1)
        return self.conv(join(torch.cat((ahead, back), dim=2), *frame.shape[2:]))

    def volume(self, features: Tensor, triples: Sequence[Triple]) -> Tensor:
        """As ``Head.volume``, with each frame's gates computed once per direction.

        Per window that is two input and two hidden convolutions instead of four and two (as
        released: four and four). Rounding apart, the logits are those of ``forward``.
        """
        ahead = self.forward_net.sweep(features, [(p, c) for p, c, _ in triples])
        back = self.reverse_net.sweep(features, [(n, c) for _, c, n in triples])
        return torch.cat(
            [self.conv(torch.cat(pair, dim=1)) for pair in zip(ahead, back, strict=True)]
        )
