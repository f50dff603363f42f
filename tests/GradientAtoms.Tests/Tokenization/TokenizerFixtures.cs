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

    /// <summary>Ids of every record.</summary>
    public static void AssertIds(Tokenizer tokenizer, IReadOnlyList<FixtureRecord> records) => AssertEqual(
        records,
        record => string.Join(' ', tokenizer.Encode(record.Text, record.AddSpecialTokens)),
        record => string.Join(' ', record.Ids));

    /// <summary>Where each token begins and ends in the text.</summary>
    public static void AssertOffsets(Tokenizer tokenizer, IReadOnlyList<FixtureRecord> records) => AssertEqual(
        records,
        record => string.Join(' ', tokenizer.EncodeWithOffsets(record.Text, record.AddSpecialTokens).Select(token => $"{token.Start}-{token.End}")),
        record => string.Join(' ', record.Offsets.Select(span => $"{span[0]}-{span[1]}")));

    /// <summary>The text that ids stand for, with and without special tokens.</summary>
    public static void AssertDecodings(Tokenizer tokenizer, IReadOnlyList<FixtureRecord> records)
    {
        AssertEqual(records, record => tokenizer.Decode(record.Ids), record => record.Decoded);
        AssertEqual(records, record => tokenizer.Decode(record.Ids, skipSpecialTokens: true), record => record.DecodedSkipSpecial);
    }

    public static void AssertEqual(IReadOnlyList<FixtureRecord> records, Func<FixtureRecord, string> actual, Func<FixtureRecord, string> expected)
    {
        Assert.NotEmpty(records);
        var differences = records
            .Where(record => actual(record) != expected(record))
            .Select(record => $"{JsonSerializer.Serialize(record.Text)} ({record.AddSpecialTokens})\n  expected {expected(record)}\n  found    {actual(record)}")
            .ToList();
        Assert.True(differences.Count == 0, $"{differences.Count} of {records.Count} differ:\n{string.Join('\n', differences.Take(5))}");
    }

    public static IReadOnlyList<FixtureRecord> Records(string folder) =>
        JsonSerializer.Deserialize<List<FixtureRecord>>(File.ReadAllText(Path.Combine(folder, "expected.json")))!;
}
