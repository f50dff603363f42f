using System.Text.Json;
using System.Text.Json.Serialization;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

/// <summary>
/// Small tokenizers of every kind against what the <c>tokenizers</c> library 0.23.2 makes of 43 texts with them
/// (<c>tools/make_tokenizer_cases.mjs</c>).
/// </summary>
public sealed class TokenizerKindTests
{
    private static readonly IReadOnlyDictionary<string, KindCase> Cases = File.ReadLines(CaseFile("kinds.jsonl"))
        .Select(line => JsonSerializer.Deserialize<KindCase>(line)!)
        .ToDictionary(one => one.Name, StringComparer.Ordinal);

    public static TheoryData<string> Kinds => [.. Cases.Keys];

    /// <summary>A file beside these tests in the repository.</summary>
    public static string CaseFile(string name) => Path.Combine(Fixtures.RepositoryRoot, "tests", "GradientAtoms.Tests", "Tokenization", "Cases", name);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Ids_are_those_of_the_tokenizers_library(string kind) => Compare(
        kind,
        (tokenizer, record) => string.Join(' ', tokenizer.Encode(record.Text, record.AddSpecialTokens)),
        record => string.Join(' ', record.Ids));

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Offsets_are_those_of_the_tokenizers_library(string kind) => Compare(
        kind,
        (tokenizer, record) => string.Join(' ', tokenizer.EncodeWithOffsets(record.Text, record.AddSpecialTokens).Select(token => $"{token.Start}-{token.End}")),
        record => string.Join(' ', record.Offsets.Select(span => $"{span[0]}-{span[1]}")));

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Decodings_are_those_of_the_tokenizers_library(string kind)
    {
        Compare(kind, (tokenizer, record) => tokenizer.Decode(record.Ids), record => record.Decoded);
        Compare(kind, (tokenizer, record) => tokenizer.Decode(record.Ids, skipSpecialTokens: true), record => record.DecodedSkipSpecial);
    }

    private static void Compare(string kind, Func<Tokenizer, FixtureRecord, string> actual, Func<FixtureRecord, string> expected)
    {
        var one = Cases[kind];
        var tokenizer = Tokenizer.Parse(one.Tokenizer.GetRawText(), kind);
        Assert.NotEmpty(one.Records);
        var differences = one.Records
            .Where(record => actual(tokenizer, record) != expected(record))
            .Select(record => $"{JsonSerializer.Serialize(record.Text)} ({record.AddSpecialTokens})\n  expected {expected(record)}\n  found    {actual(tokenizer, record)}")
            .ToList();
        Assert.True(differences.Count == 0, $"{differences.Count} of {one.Records.Count} differ:\n{string.Join('\n', differences.Take(5))}");
    }

    private sealed record KindCase(
        [property: JsonPropertyName("name")] string Name,
        [property: JsonPropertyName("tokenizer")] JsonElement Tokenizer,
        [property: JsonPropertyName("records")] IReadOnlyList<FixtureRecord> Records);
}
