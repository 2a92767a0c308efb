"""llama.cpp's converter on a folder that has no tokenizer.

    python convert_without_tokenizer.py LLAMA_CPP HF_FOLDER OUT.gguf f32|f16|bf16 [OPTION...]
"""

import importlib
import os
import pkgutil
import runpy
import sys

llama_cpp, folder, path, kind, *options = sys.argv[1:]
sys.path[:0] = [llama_cpp, os.path.join(llama_cpp, "gguf-py")]

import conversion  # noqa: E402  (found through the line above)
from conversion.base import ModelBase  # noqa: E402


def no_vocabulary(self):
    self.gguf_writer.add_tokenizer_model("none")


def classes(root):
    yield root
    for child in root.__subclasses__():
        yield from classes(child)


for module in pkgutil.iter_modules(conversion.__path__):
    importlib.import_module("conversion." + module.name)
for found in classes(ModelBase):
    if "set_vocab" in vars(found):
        found.set_vocab = no_vocabulary

converter = os.path.join(llama_cpp, "convert_hf_to_gguf.py")
sys.argv = [converter, folder, "--outfile", path, "--outtype", kind, "--model-name", "tiny", *options]
runpy.run_path(converter, run_name="__main__")
