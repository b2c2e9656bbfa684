#!/usr/bin/env python3
"""Serve a model with llama.cpp's own HTTP server, on a free port of the loopback, until standard input ends.

Prints `listening URL` when it does. The end of input is the signal to stop because it comes by itself when the
process that started this one dies, whatever it died of.
"""

import argparse
import os
import sys

import xllamacpp

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("model")
arguments.add_argument("--embed", action="store_true", help="serve /v1/embeddings, mean pooling")
arguments.add_argument("--key", help="the API key that requests must carry")
arguments.add_argument("--context", type=int, default=4096, help="tokens of prompt and answer together")
arguments = arguments.parse_args()

params = xllamacpp.CommonParams()
params.model.path = arguments.model
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = arguments.context
params.n_parallel = 1
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
params.warmup = False
params.ui = False
params.offline = True
params.use_jinja = True
if arguments.key:
    params.api_keys = [arguments.key]
if arguments.embed:
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_ubatch = params.n_batch = 512

server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
# The server's threads have nothing to save, and its destructor waits for requests that may never end.
os._exit(0)
