"""resnet34_unet of UNet_Family's UNet.py: ResNet-34, LinkNet's decoder, D-LinkNet's tail."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn
from torchvision.models import ResNet34_Weights, resnet34

WEIGHTS_URL = ResNet34_Weights.IMAGENET1K_V1.url


class ResUNet(nn.Module):
    """Encoder maps are added to the decoder's, not concatenated; none is kept at half size."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.encoder = resnet34(weights=None)
        del self.encoder.fc  # the classifier
        self.up4 = Up(512, 256)
        self.up3 = Up(256, 128)
        self.up2 = Up(128, 64)
        self.up1 = Up(64, 64)
        self.head = nn.Sequential(
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, out_channels, kernel_size=3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 1 or 3, H, W) to logits (B, out_channels, H, W)."""
        x = x.expand(-1, 3, -1, -1)  # one channel stands for three
        resnet = self.encoder
        stem = resnet.relu(resnet.bn1(resnet.conv1(x)))  # (B, 64, H/2, W/2)
        e1 = resnet.layer1(resnet.maxpool(stem))  # (B, 64, H/4, W/4)
        e2 = resnet.layer2(e1)  # (B, 128, H/8, W/8)
        e3 = resnet.layer3(e2)  # (B, 256, H/16, W/16)
        e4 = resnet.layer4(e3)  # (B, 512, H/32, W/32)
        d4 = self.up4(e4) + e3  # (B, 256, H/16, W/16)
        d3 = self.up3(d4) + e2  # (B, 128, H/8, W/8)
        d2 = self.up2(d3) + e1  # (B, 64, H/4, W/4)
        d1 = self.up1(d2)  # (B, 64, H/2, W/2)
        return self.head(d1)


class Up(nn.Sequential):
    """LinkNet's decoder block: (B, in_channels, h, w) to (B, out_channels, 2h, 2w)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        inner = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, inner, kernel_size=1),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, out_channels, kernel_size=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def load_encoder(encoder: nn.Module, file: Path) -> None:
    """Fill the encoder from torchvision's ImageNet weights of ResNet-34, all but the classifier.

    Raises:
        FileNotFoundError: there is no such file; the message says where to get it.
        ValueError: it is another kind of file; the message lists what does not fit.
    """
    if not file.is_file():
        name = Path(WEIGHTS_URL).name
        raise FileNotFoundError(
            f"resunet: no weights at {file}; fetch {WEIGHTS_URL} to data/weights/{name}"
        )
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        classifier = ("fc.weight", "fc.bias")
        encoder.load_state_dict({key: state[key] for key in state if key not in classifier})
    except (RuntimeError, UnpicklingError, EOFError, TypeError) as error:
        raise ValueError(f"resunet: {file} is not torchvision's ResNet-34: {error}") from error
