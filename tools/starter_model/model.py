"""What is trained: the UNet and the text encoder, together."""

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel

from tools.starter_model.architecture import make_text_encoder, make_unet


class Model(nn.Module):
    """The two networks that train together, as one module for the optimiser and the average."""

    def __init__(self, vocabulary: int) -> None:
        """Fresh weights, and plain attention: on one core it is twice as fast as the fused kind."""
        super().__init__()
        self.unet: UNet2DConditionModel = make_unet()
        self.text: CLIPTextModel = make_text_encoder(vocabulary)
        self.unet.set_attn_processor(AttnProcessor())
        self.text.set_attn_implementation("eager")

    def forward(self, noisy: Tensor, moments: Tensor, tokens: Tensor) -> Tensor:
        """The noise the model believes to see."""
        return self.unet(noisy, moments, self.text(tokens).last_hidden_state).sample
