// Writes what the tokenizers library itself makes of small tokenizers of every kind, and where it cuts texts by the
// expressions of real tokenizers. The tests of Tokenization/ compare with both files.
//
//     npm install --prefix /tmp/tokenizers tokenizers@0.23.2
//     NODE_PATH=/tmp/tokenizers/node_modules node tools/make_tokenizer_cases.mjs tests/GradientAtoms.Tests/Tokenization/Cases
//
// The character map (charsmap.b64 in that folder) is the precompiled_charsmap of a model that spm_train 0.1.97 made with
// the rules of charsmap.tsv.

import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const { Tokenizer } = createRequire(process.env.NODE_PATH + "/")("tokenizers");
const out = process.argv[2];
const charsmap = readFileSync(join(out, "charsmap.b64"), "utf8").trim();

const texts = [
  "", " ", "  ", "a", " a", "a ", "Hello world", "hello, world! It's the cat's 3rd cup; don't.",
  "The cats sat on the mats, unlike unhappy dogs.", "UPPER lower MiXeD", "tabs\tand\nnew\r\nlines\n\n  indented",
  "naïve café ÀÉÎ ñandú Ångström", "e\u0301 a\u030A n\u0303", "\u212B \u2126 ﬁ ﬂ ½ ① Ⅷ", "İstanbul Straße ΣΊΣΥΦΟΣ",
  "日本語のテキスト カタカナ ー 한국어 中文字符", "漢字かな交じり文abc123", "привет мир", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก",
  "😀 👩‍👩‍👧 🇫🇷 ✊🏽", "𝔘𝔫𝔦 𠮷野家 𝟙𝟚", "x=1+2*3/(4-5)%6^7|8&9~0", "snake_case camelCase kebab-case", "3.14159 1,000,000 2024-01-31",
  "\u0000\u0007\u001f control \u007f \u0085 \ufeff zero\u200bwidth \u00a0nbsp \u3000wide", "▁literal▁mark ▁ x", "a▁b", "\ufffd bad",
  "unaffable unwanted runner running runs", "[CLS] cat [SEP] [MASK] dog", "cat[MASK]dog", "<s>cat</s> dog", "cat  </s>  dog",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "q z qz zq qqq zzz", "don 't do not can n't . , ! ?", "word|word||word", "  leading and trailing  ", "...---...!!!", "C'est l'été", "the the the",
];

// Pieces of this text, with scores from their counts: a vocabulary that needs no training and no data of others.
const corpus = texts.slice(6, 12).join(" ").toLowerCase() + " the cat sat on the mat the cats run and run again unaffable unwanted runner running runs " +
  "unhappy happily cats cat dog dogs cup cups don't it's hello world wonderful".repeat(2);

function pieces(mark, most) {
  const counts = new Map();
  for (const word of corpus.split(/\s+/).filter(Boolean)) {
    const letters = [...(mark + word)];
    for (let i = 0; i < letters.length; i++) {
      for (let j = i + 1; j <= Math.min(letters.length, i + 7); j++) {
        const piece = letters.slice(i, j).join("");
        counts.set(piece, (counts.get(piece) ?? 0) + 1);
      }
    }
  }
  return [...counts].sort((a, b) => b[1] * [...b[0]].length - a[1] * [...a[0]].length || (a[0] < b[0] ? -1 : 1)).slice(0, most);
}

const letters = [..."abcdefghijklmnopqrstuvwxyz0123456789.,!?'-▁ABCDEFGHIJKLMNOPQRSTUVWXYZé"];
const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);

function unigram({ byteFallback = false, mark = "▁", unknown = true } = {}) {
  const vocab = [["<unk>", 0], ["<s>", 0], ["</s>", 0]];
  if (byteFallback) vocab.push(...bytes.map(piece => [piece, 0]));
  const seen = new Set(vocab.map(piece => piece[0]));
  for (const [piece, count] of pieces(mark, 260)) {
    if (!seen.has(piece)) vocab.push([piece, Math.log(count / 4000)]);
    seen.add(piece);
  }
  for (const letter of letters) if (!seen.has(letter)) vocab.push([letter, -12.5]);
  vocab.push(["qz", -40], ["日本", -9], ["𠮷野", -9], ["é", -11]); // "qz": too unlikely to be chosen over q and z, if those were there
  return { type: "Unigram", unk_id: unknown ? 0 : null, vocab: vocab.filter(([p], i) => vocab.findIndex(v => v[0] === p) === i && !(p === "q" || p === "z")), byte_fallback: byteFallback };
}

function wordpiece({ prefix = "##", longest = 100, lower = true } = {}) {
  const vocab = new Map(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map((token, i) => [token, i]));
  const add = token => vocab.has(token) || vocab.set(token, vocab.size);
  for (const letter of letters) { add(letter); add(prefix + letter); }
  for (const [piece] of pieces("", 220)) { add(piece); add(prefix + piece); }
  for (const token of ["日", "本", "語", "##本", "é", "##é", ";", ":", "[", "]", "=", "+"]) add(token);
  if (!lower) for (const token of ["Hello", "The", "It", "UPPER"]) add(token);
  return { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: prefix, max_input_chars_per_word: longest, vocab: Object.fromEntries(vocab) };
}

function wordlevel(words, unknown = "<unk>") {
  return { type: "WordLevel", unk_token: unknown, vocab: Object.fromEntries([unknown, ...words].map((word, i) => [word, i])) };
}

// Byte pairs merged greedily from counts.
function bytepairs({ prefix = "", suffix = "", count = 120, extra = {}, byteLevel = false } = {}) {
  const spell = word => [...word].map((c, i, all) => (i > 0 ? prefix : "") + c + (i === all.length - 1 ? suffix : ""));
  const words = corpus.split(/\s+/).filter(Boolean).map(word => spell(byteLevel ? "Ġ" + word.replace(/[^\x21-\x7e]/g, "") : word));
  const vocab = new Map([["<unk>", 0], ["<s>", 1], ["</s>", 2]]);
  const add = token => vocab.has(token) || vocab.set(token, vocab.size);
  for (const letter of [...letters, "Ġ", "Ċ"]) for (const p of new Set(["", prefix])) for (const s of new Set(["", suffix])) add(p + letter + s);
  const merges = [];
  while (merges.length < count) {
    const pairs = new Map();
    for (const word of words) for (let i = 0; i + 1 < word.length; i++) {
      const key = JSON.stringify([word[i], word[i + 1]]);
      pairs.set(key, (pairs.get(key) ?? 0) + 1);
    }
    const best = [...pairs].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0];
    if (!best) break;
    const [left, right] = JSON.parse(best[0]);
    const merged = left + right.slice(prefix.length);
    [left, right, merged].forEach(add);
    merges.push([left, right]);
    for (const word of words) for (let i = 0; i + 1 < word.length; i++) if (word[i] === left && word[i + 1] === right) word.splice(i, 2, merged);
  }
  return { type: "BPE", unk_token: "<unk>", fuse_unk: false, byte_fallback: false, ignore_merges: false, dropout: null,
    continuing_subword_prefix: prefix || null, end_of_word_suffix: suffix || null, vocab: Object.fromEntries(vocab), merges, ...extra };
}

const added = (content, id, more = {}) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...more });
const spAdded = [added("<s>", 1), added("</s>", 2)];
const bertAdded = [added("[UNK]", 1), added("[CLS]", 2), added("[SEP]", 3), added("[MASK]", 4, { lstrip: true })];
const template = (begin, end, ids) => ({ type: "TemplateProcessing", single: [begin && { SpecialToken: { id: begin, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, end && { SpecialToken: { id: end, type_id: 0 } }].filter(Boolean),
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: Object.fromEntries([begin, end].filter(Boolean).map(token => [token, { id: token, ids: [ids[token]], tokens: [token] }])) });
const metaspace = (scheme, split) => ({ type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split });
const split = (pattern, behavior, invert = false) => ({ type: "Split", pattern, behavior, invert });
const sequence = (kind, ...steps) => ({ type: "Sequence", [kind]: steps });
const words = ["the", "cat", "cats", "dog", "hello", "world", "Hello", "a", "it", "don", "'", "t", ",", "!", ".", "3", "rd", "cafe", "naive", "cup", "-", "_", "日本語", "word", "é", "e"];
const behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"];

const tokenizers = {
  "unigram-precompiled": { added_tokens: spAdded, normalizer: sequence("normalizers", { type: "Precompiled", precompiled_charsmap: charsmap }, { type: "Replace", pattern: { Regex: " {2,}" }, content: " " }),
    pre_tokenizer: metaspace("always", true), post_processor: template(null, "</s>", { "</s>": 2 }), decoder: metaspace("always", true), model: unigram() },
  "unigram-bytes": { added_tokens: spAdded, normalizer: null, pre_tokenizer: metaspace("first", false), post_processor: template("<s>", null, { "<s>": 1 }),
    decoder: sequence("decoders", { type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 }), model: unigram({ byteFallback: true }) },
  "unigram-never": { added_tokens: spAdded, normalizer: { type: "Nmt" }, pre_tokenizer: sequence("pretokenizers", { type: "WhitespaceSplit" }, metaspace("never", true)), post_processor: null, decoder: metaspace("never", true), model: unigram({ mark: "" }) },
  "unigram-scripts": { added_tokens: spAdded, normalizer: null, pre_tokenizer: { type: "UnicodeScripts" }, post_processor: null, decoder: { type: "Fuse" }, model: unigram({ mark: "" }) },
  "wordpiece-bert": { added_tokens: bertAdded, normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true }, pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] }, decoder: { type: "WordPiece", prefix: "##", cleanup: true }, model: wordpiece() },
  "wordpiece-cased": { added_tokens: bertAdded, normalizer: { type: "BertNormalizer", clean_text: false, handle_chinese_chars: false, strip_accents: true, lowercase: false }, pre_tokenizer: { type: "Whitespace" },
    post_processor: template("[CLS]", "[SEP]", { "[CLS]": 2, "[SEP]": 3 }), decoder: { type: "WordPiece", prefix: "##", cleanup: false }, model: wordpiece({ longest: 12, lower: false }) },
  "wordpiece-prefix": { added_tokens: bertAdded, normalizer: sequence("normalizers", { type: "NFKD" }, { type: "StripAccents" }, { type: "Lowercase" }), pre_tokenizer: sequence("pretokenizers", { type: "Whitespace" }, { type: "Digits", individual_digits: true }),
    post_processor: null, decoder: { type: "WordPiece", prefix: "@@", cleanup: true }, model: wordpiece({ prefix: "@@" }) },
  "wordlevel-whitespace": { added_tokens: [], normalizer: { type: "Strip", strip_left: true, strip_right: true }, pre_tokenizer: { type: "Whitespace" }, post_processor: null, decoder: null, model: wordlevel(words) },
  "wordlevel-strip": { added_tokens: [], normalizer: sequence("normalizers", { type: "Strip", strip_left: true, strip_right: false }, { type: "NFD" }, { type: "StripAccents" }, { type: "NFC" }, { type: "Lowercase" }),
    pre_tokenizer: sequence("pretokenizers", { type: "WhitespaceSplit" }, { type: "Punctuation", behavior: "Contiguous" }), post_processor: null, decoder: { type: "CTC", pad_token: "<unk>", word_delimiter_token: "|", cleanup: true }, model: wordlevel(words) },
  "wordlevel-delimiter": { added_tokens: [], normalizer: null, pre_tokenizer: { type: "CharDelimiterSplit", delimiter: "|" }, post_processor: null, decoder: { type: "CTC", pad_token: "cat", word_delimiter_token: "|", cleanup: false }, model: wordlevel(words) },
  "wordlevel-fixed": { added_tokens: [], normalizer: null, pre_tokenizer: { type: "FixedLength", length: 3 }, post_processor: null, decoder: { type: "Fuse" }, model: wordlevel(words) },
  "bpe-suffix": { added_tokens: [], normalizer: { type: "Lowercase" }, pre_tokenizer: { type: "BertPreTokenizer" }, post_processor: null, decoder: { type: "BPEDecoder", suffix: "</w>" }, model: bytepairs({ suffix: "</w>" }) },
  "bpe-prefix": { added_tokens: [], normalizer: null, pre_tokenizer: { type: "WhitespaceSplit" }, post_processor: null, decoder: { type: "WordPiece", prefix: "~~", cleanup: false }, model: bytepairs({ prefix: "~~", extra: { fuse_unk: true } }) },
  "bpe-roberta": { added_tokens: spAdded, normalizer: null, pre_tokenizer: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    post_processor: { type: "RobertaProcessing", sep: ["</s>", 2], cls: ["<s>", 1], trim_offsets: true, add_prefix_space: true }, decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true }, model: bytepairs({ byteLevel: true, extra: { ignore_merges: true } }) },
  "bpe-byte-normalizer": { added_tokens: spAdded, normalizer: sequence("normalizers", { type: "NFC" }, { type: "ByteLevel" }), pre_tokenizer: split({ Regex: "Ġ" }, "MergedWithNext"), post_processor: null, decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true }, model: bytepairs({ byteLevel: true, extra: { unk_token: null } }) },
};
for (const behavior of behaviors) {
  tokenizers[`split-${behavior}`] = { added_tokens: [], normalizer: null, pre_tokenizer: sequence("pretokenizers", split({ Regex: "[aeiou ]+" }, behavior), { type: "Punctuation", behavior }), post_processor: null, decoder: null, model: wordlevel([]) };
  tokenizers[`split-invert-${behavior}`] = { added_tokens: [], normalizer: null, pre_tokenizer: split({ String: "a" }, behavior, true), post_processor: null, decoder: null, model: wordlevel([]) };
}

const cases = [];
for (const [name, parts] of Object.entries(tokenizers)) {
  const json = { version: "1.0", truncation: null, padding: null, ...parts };
  const tokenizer = Tokenizer.fromString(JSON.stringify(json));
  const records = [];
  for (const text of texts) for (const add of parts.post_processor ? [false, true] : [false]) {
    const encoding = await tokenizer.encode(text, null, { addSpecialTokens: add });
    const ids = encoding.getIds();
    // The library's BPEDecoder ends the program on an empty list.
    const decode = async skip => ids.length ? await tokenizer.decode(ids, skip) : "";
    records.push({ text, add_special_tokens: add, ids, offsets: encoding.getOffsets().map(([start, end]) => [start, end]), decoded: await decode(false), decoded_skip_special: await decode(true) });
  }
  cases.push({ name, tokenizer: json, records });
}
const ascii = value => JSON.stringify(value).replace(/[\u007f-\uffff]/g, c => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
writeFileSync(join(out, "kinds.jsonl"), cases.map(ascii).join("\n") + "\n");

// Cuts by the expressions of real tokenizers: an unknown word each, so that the spans are the cuts.
const expressions = {
  "gpt2": "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "llama3": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "qwen2": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "cl100k": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
  "o200k": "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "tekken": "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "deepseek-words": "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "deepseek-cjk": "[一-龥\u3040-ゟ゠-ヿ]+",
  "digits": "\\p{N}{1,3}",
  "falcon": "[0-9][0-9][0-9]",
  "bloom": " ?[^(\\s|[.,!?…。，、।۔،])]+",
  "starcoder": "\\d{1,3}(?=(?:\\d{3})*\\b)",
  "words": "\\w+|[^\\w\\s]+",
  "blanks": "\\s+",
  "lines": "^.*$",
  "han": "\\p{Han}+|[\\p{Hiragana}\\p{Katakana}]+|\\p{Hangul}+|[^\\p{Han}&&\\p{L}]+",
};
// A plain generator with a fixed seed; characters that the expressions tell apart.
let state = 20240131;
const random = below => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % 0x7fffffff % below;
const alphabet = [..."aSstreVlLdmxAZé", "\u017f", "\u0301", "𝔘", "𠮷", "ǅ", "ʰ", "ª", "1", "2", "٣", "²", "Ⅷ", "𝟙", " ", " ", " ", "\n", "\r", "\t", "\u0085", "\u00a0", "\u3000", "\u001c", "\u200b", "\u200d", "\u2028",
  "'", "'", ".", "-", "_", "/", "$", "+", "(", "|", "。", "…", "😀", "\u4e00", "龥", "\u9fff", "ひ", "カ", "ー", "한", "ก", "\u0e31", "अ", "\u093f", "ⓐ", "K", "\u2167", "\u00ad", "ا"];
const samples = Array.from({ length: 400 }, () => Array.from({ length: 1 + random(14) }, () => alphabet[random(alphabet.length)]).join(""));
const cuts = [];
for (const [name, expression] of Object.entries(expressions)) {
  const tokenizer = Tokenizer.fromString(JSON.stringify({ version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: split({ Regex: expression }, "Isolated"), post_processor: null, decoder: null, model: wordlevel([]) }));
  const spans = [];
  for (const text of [...texts, ...samples]) spans.push((await tokenizer.encode(text, null, { addSpecialTokens: false })).getOffsets().map(span => span[1]).join(" "));
  cuts.push({ name, expression, ends: spans });
}
writeFileSync(join(out, "cuts.json"), ascii({ texts: [...texts, ...samples], cuts }) + "\n");

// Which code points a class holds, all of them asked for: those that a Split drops.
const scalars = Array.from({ length: 0x110000 }, (_, code) => code).filter(code => code < 0xd800 || code > 0xdfff);
const classes = {};
for (const expression of ["\\w", "[\\w]", "\\W", "\\d", "\\s", "[^\\s]", "\\p{L}", "\\p{N}", "\\p{P}", "\\p{S}", "\\p{M}", "\\p{Lu}", "\\p{Ll}", "\\p{Lo}", "\\p{Lm}", "\\p{Lt}", "\\p{Han}", "\\p{Hiragana}", "\\p{Katakana}", "\\p{Hangul}", "\\h", ".", "(?i:s)", "(?i:[a-z])"]) {
  const tokenizer = Tokenizer.fromString(JSON.stringify({ version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: split({ Regex: expression }, "Removed"), post_processor: null, decoder: null, model: wordlevel([]) }));
  const member = new Uint8Array(0x110001);
  for (let i = 0; i < scalars.length; i += 4096) {
    const part = scalars.slice(i, i + 4096);
    const isIn = new Uint8Array(part.length).fill(1);
    for (const [start, end] of (await tokenizer.encode(String.fromCodePoint(...part), null, { addSpecialTokens: false })).getOffsets()) isIn.fill(0, start, end);
    part.forEach((code, k) => { member[code] = isIn[k]; });
  }
  const ranges = [];
  for (let code = 0, start = -1; code <= 0x110000; code++) {
    if (member[code] && start < 0) start = code;
    if (!member[code] && start >= 0) { ranges.push(`${start.toString(16)}-${(code - 1).toString(16)}`); start = -1; }
  }
  classes[expression] = ranges.join(" ");
}
writeFileSync(join(out, "classes.json"), JSON.stringify(classes) + "\n");
