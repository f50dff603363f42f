using System.Text.Json.Nodes;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

/// <summary>A byte-level tokenizer small enough to follow by hand: the 256 bytes, a few merges, bos and eos.</summary>
internal static class TinyTokenizer
{
    public const int Bos = 300;
    public const int Eos = 301;

    /// <summary>In the order of their ranks; their tokens have the ids 256 and up in this order.</summary>
    public static readonly string[] Merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "l d", "e l"];

    public static Tokenizer Make() => Tokenizer.Parse(Json().ToJsonString(), "tiny");

    /// <summary>The tokenizer.json, to be spoilt by tests.</summary>
    public static JsonObject Json()
    {
        var vocabulary = new JsonObject();
        for (var value = 0; value < 256; value++)
        {
            vocabulary[char.ConvertFromUtf32(ByteAlphabet.CodeOf((byte)value))] = value;
        }

        foreach (var merge in Merges)
        {
            vocabulary[merge.Replace(" ", "", StringComparison.Ordinal)] = vocabulary.Count;
        }

        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Added("<bos>", Bos), Added("<eos>", Eos)),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false },
            ["post_processor"] = new JsonObject
            {
                ["type"] = "TemplateProcessing",
                ["single"] = new JsonArray(Item("SpecialToken", "<bos>"), Item("Sequence", "A"), Item("SpecialToken", "<eos>")),
                ["special_tokens"] = new JsonObject
                {
                    ["<bos>"] = new JsonObject { ["ids"] = new JsonArray(Bos) },
                    ["<eos>"] = new JsonObject { ["ids"] = new JsonArray(Eos) },
                },
            },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. Merges.Select(merge => JsonValue.Create(merge))]),
            },
        };
    }

    private static JsonObject Added(string content, int id) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["special"] = true,
        ["normalized"] = false,
    };

    private static JsonObject Item(string kind, string id) => new() { [kind] = new JsonObject { ["id"] = id } };
}
