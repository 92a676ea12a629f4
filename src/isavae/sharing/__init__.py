"""Models that travel: one safetensors file, the Hugging Face Hub, ONNX."""

from isavae.sharing.card import model_card
from isavae.sharing.hub import from_pretrained, open_model, push_to_hub, save_pretrained
from isavae.sharing.onnx import OnnxFiles, export_onnx
from isavae.sharing.portable import PortableModel

__all__ = [
    "OnnxFiles",
    "PortableModel",
    "export_onnx",
    "from_pretrained",
    "model_card",
    "open_model",
    "push_to_hub",
    "save_pretrained",
]
