using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.DemoModel;

/// <summary>
/// Learns a byte-level BPE (Sennrich, Haddow and Birch, arXiv 1508.07909) and gives it as a <c>tokenizer.json</c>: the pair that
/// occurs most often becomes a token, again and again; of equally frequent pairs the first by its text.
/// </summary>
internal static partial class BytePairTrainer
{
    /// <summary>Learns from texts.</summary>
    /// <param name="texts">What is counted.</param>
    /// <param name="special">Tokens that are never split; they get the first ids.</param>
    /// <param name="size">Tokens in all.</param>
    public static JsonObject Learn(IEnumerable<string> texts, IReadOnlyList<string> special, int size)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var piece in texts.SelectMany(text => Pieces().Matches(text).Select(match => match.Value)))
        {
            counts[piece] = counts.GetValueOrDefault(piece) + 1;
        }

        var words = counts.OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => (Symbols: Encoding.UTF8.GetBytes(pair.Key).Select(value => char.ConvertFromUtf32(ByteAlphabet.CodeOf(value))).ToList(), Count: pair.Value)).ToArray();
        var tokens = special.Concat(Enumerable.Range(0, 256).Select(value => char.ConvertFromUtf32(ByteAlphabet.CodeOf((byte)value)))).ToList();
        var merges = new List<(string Left, string Right)>();
        while (tokens.Count < size && MostFrequent(words) is { } pair)
        {
            merges.Add(pair);
            tokens.Add(pair.Left + pair.Right);
            foreach (var (symbols, _) in words)
            {
                Merge(symbols, pair);
            }
        }

        return Json(tokens, merges, special);
    }

    private static (string Left, string Right)? MostFrequent((List<string> Symbols, int Count)[] words)
    {
        var pairs = new Dictionary<(string, string), int>();
        foreach (var (symbols, count) in words)
        {
            for (var place = 0; place + 1 < symbols.Count; place++)
            {
                var pair = (symbols[place], symbols[place + 1]);
                pairs[pair] = pairs.GetValueOrDefault(pair) + count;
            }
        }

        return pairs.Count == 0
            ? null
            : pairs.OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key.Item1, StringComparer.Ordinal).ThenBy(pair => pair.Key.Item2, StringComparer.Ordinal).First().Key;
    }

    private static void Merge(List<string> symbols, (string Left, string Right) pair)
    {
        for (var place = 0; place + 1 < symbols.Count; place++)
        {
            if (symbols[place] == pair.Left && symbols[place + 1] == pair.Right)
            {
                symbols[place] = pair.Left + pair.Right;
                symbols.RemoveAt(place + 1);
            }
        }
    }

    private static JsonObject Json(List<string> tokens, List<(string Left, string Right)> merges, IReadOnlyList<string> special) => new()
    {
        ["version"] = "1.0",
        ["truncation"] = null,
        ["padding"] = null,
        ["added_tokens"] = new JsonArray([.. special.Select((token, id) => (JsonNode)new JsonObject
        {
            ["id"] = id,
            ["content"] = token,
            ["single_word"] = false,
            ["lstrip"] = false,
            ["rstrip"] = false,
            ["normalized"] = false,
            ["special"] = true,
        })]),
        ["normalizer"] = null,
        ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = true },
        ["post_processor"] = null,
        ["decoder"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = true, ["trim_offsets"] = true, ["use_regex"] = true },
        ["model"] = new JsonObject
        {
            ["type"] = "BPE",
            ["dropout"] = null,
            ["unk_token"] = null,
            ["continuing_subword_prefix"] = null,
            ["end_of_word_suffix"] = null,
            ["fuse_unk"] = false,
            ["byte_fallback"] = false,
            ["ignore_merges"] = false,
            ["vocab"] = new JsonObject(tokens.Select((token, id) => KeyValuePair.Create(token, (JsonNode?)JsonValue.Create(id)))),
            ["merges"] = new JsonArray([.. merges.Select(pair => (JsonNode)new JsonArray(pair.Left, pair.Right))]),
        },
    };

    // GPT-2's pieces, as the tokenizer's ByteLevel cuts them.
    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex Pieces();
}
