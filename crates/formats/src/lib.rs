//! Model files: safetensors folders and GGUF, opened in place.
