using System.Text.Json;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

/// <summary>What the Python library makes of 159 texts with nine tokenizers.</summary>
public sealed class TokenizerFixtureTests
{
    public static TheoryData<string> Tokenizers =>
    [
        "smollm2", "gpt2", "qwen3", "mistral-v1", "mistral-v3",
        "synth-ignore-merges", "synth-added-tokens", "synth-metaspace-always", "synth-split",
    ];

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Ids_are_those_of_the_tokenizers_library(string name) => Compare(
        name,
        (tokenizer, record) => Join(tokenizer.Encode(record.Text, record.AddSpecialTokens)),
        record => Join(record.Ids));

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Offsets_are_those_of_the_tokenizers_library(string name) => Compare(
        name,
        (tokenizer, record) => string.Join(' ', tokenizer.EncodeWithOffsets(record.Text, record.AddSpecialTokens).Select(token => $"{token.Start}-{token.End}")),
        record => string.Join(' ', record.Offsets.Select(span => $"{span[0]}-{span[1]}")));

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Decodings_are_those_of_the_tokenizers_library(string name)
    {
        Compare(name, (tokenizer, record) => tokenizer.Decode(record.Ids), record => record.Decoded);
        Compare(name, (tokenizer, record) => tokenizer.Decode(record.Ids, skipSpecialTokens: true), record => record.DecodedSkipSpecial);
    }

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Decoding_one_by_one_gives_the_whole_text_without_half_characters(string name) => Compare(
        name,
        (tokenizer, record) =>
        {
            var decoder = tokenizer.NewDecoder();
            var text = string.Concat(record.Ids.Select(id =>
            {
                var piece = decoder.Append(id);
                Assert.False(piece.EndsWith('\uFFFD'));
                return piece;
            }));
            return text + decoder.Flush();
        },
        record => record.Decoded);

    private static void Compare(string name, Func<Tokenizer, FixtureRecord, string> actual, Func<FixtureRecord, string> expected)
    {
        var folder = Fixtures.Need($"tokenizers/{name}");
        var tokenizer = TokenizerFixtures.Load(name);
        var records = TokenizerFixtures.Records(folder);
        Assert.NotEmpty(records);
        var differences = records
            .Where(record => actual(tokenizer, record) != expected(record))
            .Select(record => $"{JsonSerializer.Serialize(record.Text)} ({record.AddSpecialTokens})\n  expected {expected(record)}\n  found    {actual(tokenizer, record)}")
            .ToList();
        Assert.True(differences.Count == 0, $"{differences.Count} of {records.Count} differ:\n{string.Join('\n', differences.Take(5))}");
    }

    private static string Join(IEnumerable<int> ids) => string.Join(' ', ids);
}
