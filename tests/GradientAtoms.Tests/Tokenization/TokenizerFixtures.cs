using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Serialization;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

/// <summary>One line of a fixture's <c>expected.json</c>.</summary>
internal sealed record FixtureRecord(
    [property: JsonPropertyName("text")] string Text,
    [property: JsonPropertyName("add_special_tokens")] bool AddSpecialTokens,
    [property: JsonPropertyName("ids")] int[] Ids,
    [property: JsonPropertyName("offsets")] int[][] Offsets,
    [property: JsonPropertyName("decoded")] string Decoded,
    [property: JsonPropertyName("decoded_skip_special")] string DecodedSkipSpecial);

/// <summary>The tokenizers of the fixture folder, each loaded once.</summary>
internal static class TokenizerFixtures
{
    private static readonly ConcurrentDictionary<string, Lazy<Tokenizer>> Loaded = new(StringComparer.Ordinal);

    public static Tokenizer Load(string name) => Loaded.GetOrAdd(
        Fixtures.Need($"tokenizers/{name}/tokenizer.json"),
        path => new Lazy<Tokenizer>(() => Tokenizer.Load(path))).Value;

    public static IReadOnlyList<FixtureRecord> Records(string folder) =>
        JsonSerializer.Deserialize<List<FixtureRecord>>(File.ReadAllText(Path.Combine(folder, "expected.json")))!;
}
