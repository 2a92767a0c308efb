"""The codebooks of GGML's IQ formats, as `crates/quant/src/grids.rs` keeps them.

    python grids.py OUT.rs

They are taken out of the installed gguf-py. An entry becomes one number, value 0 in its lowest bits, each value by its
place among those its codebook uses.
"""

import sys

import gguf.quants as quants
import numpy as np

HEAD = """//! The codebooks of the IQ formats: which runs of eight or four values an index stands for.
//!
//! Written by `oracle/grids.py`: value j of an entry is the place, in the values the codebook uses, that bits
//! j * `bits`.. name. They are spread into bytes when this is compiled.
"""

BOOKS = [
    ("IQ1", "IQ1_S", "IQ1_S and IQ1_M: eights, the values -1, 0 and 1.", 8),
    ("IQ2_XXS", "IQ2_XXS", "IQ2_XXS: the magnitudes of eight values.", 1),
    ("IQ2_XS", "IQ2_XS", "IQ2_XS: the magnitudes of eight values.", 1),
    ("IQ2_S", "IQ2_S", "IQ2_S: the magnitudes of eight values.", 1),
    ("IQ3_XXS", "IQ3_XXS", "IQ3_XXS: the magnitudes of four values.", 1),
    ("IQ3_S", "IQ3_S", "IQ3_S: the magnitudes of four values.", 1),
]


def main(path):
    parts = [HEAD]
    for name, source, about, times in BOOKS:
        book = getattr(quants, source)
        book.init_grid()
        grid = book.grid.reshape(book.grid_shape).astype(int)
        levels = [int(v) for v in book.grid_map]
        bits = 2 if len(levels) <= 4 else 3
        packed = [sum(levels.index(v) << (bits * j) for j, v in enumerate(row)) for row in grid.tolist()]
        width = grid.shape[1]
        about = about.replace("the values -1, 0 and 1.", "the values -1, 0 and 1, times eight.")
        shown = ", ".join(str(v * times) for v in levels)
        parts.append(f"/// {about}\npub static {name}: [[i8; {width}]; {len(packed)}] = spread({bits}, &[{shown}], &PACKED_{name});\n")
        body = ", ".join(f"{v:#06x}" for v in packed)
        parts.append(f"#[rustfmt::skip]\nconst PACKED_{name}: [u16; {len(packed)}] = [\n{wrap(body)}\n];\n")
    parts.append(TAIL)
    open(path, "w").write("\n".join(parts))


def wrap(body, width=112):
    lines, line = [], "   "
    for word in body.split(" "):
        if len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "   "
        line += " " + word
    return "\n".join([*lines, line]) + ","


TAIL = """/// Each value by its bits' place among `levels`.
const fn spread<const WIDTH: usize, const LEN: usize>(
    bits: usize,
    levels: &[i8],
    packed: &[u16; LEN],
) -> [[i8; WIDTH]; LEN] {
    let mut grid = [[0; WIDTH]; LEN];
    let mut i = 0;
    while i < LEN * WIDTH {
        let place = packed[i / WIDTH] as usize >> (bits * (i % WIDTH)) & ((1 << bits) - 1);
        grid[i / WIDTH][i % WIDTH] = levels[place];
        i += 1;
    }
    grid
}
"""

if __name__ == "__main__":
    main(*sys.argv[1:])
