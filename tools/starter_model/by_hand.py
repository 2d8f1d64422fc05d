"""Weights written by hand: the whole encoder, and a first draft of the decoder.

The encoder keeps the mean colour of every 16×16 patch and the slant of its brightness, nothing else. The decoder
starts as the reverse, a picture of plain patches, and training turns it into an illustrator.

The road through the networks: residual branches are silent, red, green and blue ride on the first channels together
with their negatives (silu(x) − silu(−x) = x), and two constant channels, the anchors, outweigh everything else in the
group norms, so that these rescale every picture alike.
"""

import math

from diffusers import AutoencoderKL
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn, no_grad

from tools.starter_model.architecture import SCALING_FACTOR
from tools.starter_model.thumbnail import SLANT, Rounding

_PLUS, _MINUS, _HIGH, _LOW = (0, 1, 2), (5, 6, 7), 3, 4
_SLANT = (8, 9)
_ENCODER_ANCHOR, _DECODER_ANCHOR = 40.0, 2.0
_SPREAD = 0.1
"""Standard deviation of the encoder's (constant) uncertainty, in scaled latents."""


@no_grad()
def write_encoder(vae: AutoencoderKL, rounding: Rounding) -> None:
    """Thumbnails by convolution, made round by `quant_conv`, undone by `post_quant_conv`."""
    encoder = vae.encoder
    for parameter in [*encoder.parameters(), *vae.quant_conv.parameters(), *vae.post_quant_conv.parameters()]:
        parameter.zero_()
    for module in encoder.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.ones_(module.weight)
        elif isinstance(module, ResnetBlock2D) and module.conv_shortcut is not None:
            nn.init.dirac_(module.conv_shortcut.weight)
        elif isinstance(module, Downsample2D):
            _average(module.conv)
    _enter(encoder.conv_in, _ENCODER_ANCHOR)
    _slant([module for module in encoder.modules() if isinstance(module, Downsample2D)][-1].conv)
    width = encoder.conv_norm_out.num_channels // encoder.conv_norm_out.num_groups
    gain = _ENCODER_ANCHOR * (2 / width) ** 0.5
    for colour, (plus, minus) in enumerate(zip(_PLUS, _MINUS, strict=True)):
        encoder.conv_out.weight[colour, plus, 1, 1] = gain
        encoder.conv_out.weight[colour, minus, 1, 1] = -gain
    encoder.conv_out.weight[3, _SLANT[0], 1, 1] = gain
    encoder.conv_out.weight[3, _SLANT[1], 1, 1] = -gain
    _round(vae, rounding)


@no_grad()
def draft_decoder(vae: AutoencoderKL) -> None:
    """Plain patches to begin with. Everything else is left random, small, and ready to learn."""
    decoder = vae.decoder
    for module in decoder.modules():
        if isinstance(module, ResnetBlock2D):
            _silence(module.conv2)
            if module.conv_shortcut is not None:
                _keep_road(module.conv_shortcut)
        elif isinstance(module, Upsample2D):
            _keep_road(module.conv)
    _silence(decoder.mid_block.attentions[0].to_out[0])
    _enter(decoder.conv_in, _DECODER_ANCHOR)
    norm = decoder.conv_norm_out
    width = norm.num_channels // norm.num_groups
    gain = ((2 * _DECODER_ANCHOR**2 + 6 * 0.32) / width) ** 0.5
    decoder.conv_out.weight.mul_(0.1)
    nn.init.zeros_(decoder.conv_out.bias)
    for colour, (plus, minus) in enumerate(zip(_PLUS, _MINUS, strict=True)):
        decoder.conv_out.weight[colour, plus, 1, 1] = gain
        decoder.conv_out.weight[colour, minus, 1, 1] = -gain


def _silence(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _average(conv: nn.Conv2d) -> None:
    kept = range(conv.in_channels)
    conv.weight[kept, kept, :2, :2] = 0.25


def _slant(conv: nn.Conv2d) -> None:
    """The last halving sees the four quarters of each patch: let it compare them, with either sign."""
    for row in (0, 1):
        for column in (0, 1):
            for colour in _PLUS:
                conv.weight[_SLANT[0], colour, row, column] = SLANT[row][column] / 12
                conv.weight[_SLANT[1], colour, row, column] = -SLANT[row][column] / 12


def _enter(conv: nn.Conv2d, anchor: float) -> None:
    """Colours and their negatives on the first channels, the anchors between them."""
    conv.weight[:8] = 0
    bias = _bias(conv)
    bias[:8] = 0
    for colour, (plus, minus) in enumerate(zip(_PLUS, _MINUS, strict=True)):
        conv.weight[plus, colour, 1, 1] = 1
        conv.weight[minus, colour, 1, 1] = -1
    bias[_HIGH], bias[_LOW] = anchor, -anchor


def _keep_road(conv: nn.Conv2d) -> None:
    """The first eight channels pass unchanged; the others are mixed as usual."""
    middle = conv.kernel_size[0] // 2
    conv.weight[:8] = 0
    conv.weight[range(8), range(8), middle, middle] = 1
    nn.init.zeros_(_bias(conv))


def _bias(conv: nn.Conv2d) -> Tensor:
    if conv.bias is None:
        raise ValueError("every convolution of the autoencoder has a bias")
    return conv.bias


def _round(vae: AutoencoderKL, rounding: Rounding) -> None:
    matrix = rounding.matrix / SCALING_FACTOR
    vae.quant_conv.weight[:4, :4] = matrix[..., None, None]
    vae.quant_conv.bias[:4] = -matrix @ rounding.centre
    vae.quant_conv.bias[4:] = 2 * math.log(_SPREAD / SCALING_FACTOR)
    vae.post_quant_conv.weight.copy_(matrix.inverse()[..., None, None])
    vae.post_quant_conv.bias.copy_(rounding.centre)
