"""Weights of the predictors, taken out of the packages that publish them."""

from __future__ import annotations

from models.assets import Asset, AssetFile, Wheel

DISTILLMOS = Asset(
    name="distillmos",
    licence="MIT",
    download_mb=15,
    wheels=(
        Wheel(
            "distillmos==0.9.1",
            "f82e5326ed963ddc28a3e079ded4dbb1bd072ad54be5bdc4380290a9bce3536a",
        ),
    ),
    files=(
        AssetFile(
            "distill_mos_v7.pt",
            ((0, "distillmos/weights/distill_mos_v7.pt"),),
            "b18b3ac60227267cfb91e5d00ce22cc7b73716fd92f269484da1446e27031a40",
        ),
    ),
)

DNSMOS = Asset(
    name="dnsmos",
    licence="MIT",
    download_mb=9,
    wheels=(
        Wheel(
            "speechmos==0.0.1.1",
            "31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
        ),
    ),
    files=(
        AssetFile(
            "sig_bak_ovr.onnx",
            ((0, "speechmos/dnsmos_models/sig_bak_ovr.onnx"),),
            "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
        ),
    ),
)
