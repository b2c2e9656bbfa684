#!/usr/bin/env python3
"""Write a chat model of random weights: 310 kB, llama architecture, one layer, one token a byte.

With a schema to constrain it, it answers in valid JSON and talks nonsense: what a test of the wire needs, and of
everything that must survive a model that is confidently wrong. The seed is fixed, so the same question gets the same
answer everywhere.

usage: make_tiny_chat_model.py OUT.gguf
"""

import sys

import gguf
import numpy as np

# A token is a byte, so a prompt has thousands, and attention costs their number squared for each layer and head.
LAYERS, EMBEDDING, HEADS, KV_HEADS, FEED_FORWARD, CONTEXT = 1, 64, 1, 1, 128, 16384
HEAD = EMBEDDING // HEADS
MERGES = ["t h", "e r", "i n", "o n", "Ġ t", "th e", "in g", '{ "', '" :', '" ,', '" }']
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = """{%- for message in messages %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{%- endfor %}
{%- if add_generation_prompt %}
<|im_start|>assistant
{% endif %}"""

random = np.random.default_rng(20240517)


def byte_symbols():
    """The printable character that stands for each byte in a byte-level vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        symbols.setdefault(byte, chr(256 + len(symbols) - len(printable)))
    return [symbols[byte] for byte in range(256)]


def token_bias(tokens):
    """How likely each token is before any thought: no runs of white space, ASCII only, strings that end soon.

    Without it the grammar allows white space, and random weights spend the whole answer on it.
    """
    bias = np.zeros(len(tokens), np.float32)
    for byte in range(256):
        letter = chr(byte)
        if byte >= 127 or byte <= 32:
            bias[byte] = -4
        else:
            bias[byte] = 0.6 if letter.islower() or letter.isdigit() else -0.8
    bias[ord('"')], bias[ord("}")] = 1.0, 0.8
    for index, token in enumerate(tokens[256 : 256 + len(MERGES)], 256):
        bias[index] = -4 if "Ġ" in token else 0.3
    bias[-3], bias[-2], bias[-1] = -4, -4, 0.5
    return bias


def main(out):
    merged = [merge.replace(" ", "") for merge in MERGES]
    tokens = byte_symbols() + merged + SPECIAL
    types = [gguf.TokenType.NORMAL] * (256 + len(merged)) + [gguf.TokenType.CONTROL] * len(SPECIAL)

    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name("tiny-random-llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(len(tokens) - 3)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def add(name, *shape, scale=0.08):
        """A random tensor. No layer writes to dimension 0 of the residual stream, see below."""
        values = (random.standard_normal(shape) * scale).astype(np.float32)
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            values[0, :] = 0.0
        if name == "token_embd.weight":
            values[:, 0] = 6.0
        if name == "output.weight":
            values[:, 0] = token_bias(tokens)
        writer.add_tensor(name, values)

    def ones(name):
        writer.add_tensor(name, np.ones(EMBEDDING, np.float32))

    # Dimension 0 of the residual stream is set by the embedding and left alone by every layer: a constant. So column
    # 0 of the output's weights is a bias for each token, which the architecture itself does not have.
    add("token_embd.weight", len(tokens), EMBEDDING, scale=1.0)
    ones("output_norm.weight")
    add("output.weight", len(tokens), EMBEDDING, scale=0.2)
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        ones(prefix + "attn_norm.weight")
        ones(prefix + "ffn_norm.weight")
        add(prefix + "attn_q.weight", HEADS * HEAD, EMBEDDING)
        add(prefix + "attn_k.weight", KV_HEADS * HEAD, EMBEDDING)
        add(prefix + "attn_v.weight", KV_HEADS * HEAD, EMBEDDING)
        add(prefix + "attn_output.weight", EMBEDDING, HEADS * HEAD)
        add(prefix + "ffn_gate.weight", FEED_FORWARD, EMBEDDING)
        add(prefix + "ffn_up.weight", FEED_FORWARD, EMBEDDING)
        add(prefix + "ffn_down.weight", EMBEDDING, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(sys.argv[1])
