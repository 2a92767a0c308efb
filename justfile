# Five recipes; new things join one of them. `just --list` shows what each wants.

# What CI runs, and nothing else: format, lint, tests, house rules, documentation.
check:
    .ci/run

# Perplexity of a real model on a text, to hold against its published implementation, for whoever has the weights.
oracle model text window="512":
    cargo run --release -- eval {{ model }} --text {{ text }} --window {{ window }}

# The kernels on this machine, every instruction set beside the others.
bench:
    cargo bench -p kernels

# One reader, fed bytes that nobody wrote: `just fuzz gguf 600`. Needs a C++ compiler.
fuzz target="gguf" seconds="60":
    RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares" \
        cargo build --release --manifest-path fuzz/Cargo.toml --target x86_64-unknown-linux-gnu
    mkdir -p fuzz/corpus/{{ target }}
    fuzz/target/x86_64-unknown-linux-gnu/release/{{ target }} -max_total_time={{ seconds }} -rss_limit_mb=512 \
        fuzz/corpus/{{ target }} fuzz/seeds/{{ target }}

# The tiny models and what published implementations answer for them; `llama_cpp` is a source tree of llama.cpp (oracle/README.md).
fixtures llama_cpp python="python3":
    cd oracle && {{ python }} make_fixtures.py {{ llama_cpp }} ../fixtures/deepseek_v3
    cd oracle && for part in grouped delta kimi kimi_k3 sparse; do {{ python }} $part.py {{ llama_cpp }} ../fixtures || exit 1; done
