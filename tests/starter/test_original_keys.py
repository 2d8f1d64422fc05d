"""The names of the original layout, against the ones that diffusers reads."""

import pytest

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("layers", [1, 2])
def test_diffusers_reads_our_names_back(layers: int) -> None:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    from tools.starter_model.original_keys import original_unet

    unet = UNet2DConditionModel(
        block_out_channels=(8, 8, 8),
        layers_per_block=layers,
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )
    weights = unet.state_dict()
    back = convert_ldm_unet_checkpoint(original_unet(weights, layers), dict(unet.config))
    assert back.keys() == weights.keys()
    assert all(back[name].equal(weights[name]) for name in weights)
