"""Writes the tables of Unicode's normalization forms that src/GradientAtoms.Text embeds.

.NET's own string.Normalize changes nothing under InvariantGlobalization, and qwen-like tokenizers need NFC.

    python3 tools/make_unicode_forms.py > src/GradientAtoms.Text/Tokenization/UnicodeForms.txt
"""

import sys
import unicodedata

out = ["# Combining classes (C first-last class) and decompositions: D canonical, X canonical but never composed again,",
       f"# K compatibility. From the Unicode Character Database {unicodedata.unidata_version} (Unicode License v3).",
       "# Hangul syllables are computed. Made by tools/make_unicode_forms.py."]
run = None
for code in range(sys.maxunicode + 2):
    ccc = unicodedata.combining(chr(code)) if code <= sys.maxunicode else 0
    if run and run[1] == code - 1 and run[2] == ccc:
        run[1] = code
        continue
    if run:
        out.append(f"C {run[0]:X}-{run[1]:X} {run[2]}")
    run = [code, code, ccc] if ccc else None
for code in range(sys.maxunicode + 1):
    fields = unicodedata.decomposition(chr(code)).split()
    if not fields or 0xAC00 <= code <= 0xD7A3:
        continue
    if fields[0].startswith("<"):
        out.append(f"K {code:X} " + " ".join(fields[1:]))
    else:
        composes = unicodedata.normalize("NFC", chr(code)) == chr(code)
        out.append(("D" if composes else "X") + f" {code:X} " + " ".join(fields))
print("\n".join(out))
