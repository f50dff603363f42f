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
    public void Ids_are_those_of_the_tokenizers_library(string kind) => TokenizerFixtures.AssertIds(Load(kind), Cases[kind].Records);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Offsets_are_those_of_the_tokenizers_library(string kind) => TokenizerFixtures.AssertOffsets(Load(kind), Cases[kind].Records);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Decodings_are_those_of_the_tokenizers_library(string kind) => TokenizerFixtures.AssertDecodings(Load(kind), Cases[kind].Records);

    private static Tokenizer Load(string kind) => Tokenizer.Parse(Cases[kind].Tokenizer.GetRawText(), kind);

    private sealed record KindCase(
        [property: JsonPropertyName("name")] string Name,
        [property: JsonPropertyName("tokenizer")] JsonElement Tokenizer,
        [property: JsonPropertyName("records")] IReadOnlyList<FixtureRecord> Records);
}
